"""What schemathesis uploads as a file: it cannot think of a JPEG by itself.

Loaded by schemathesis, in its own process.
"""

import schemathesis
from hypothesis import strategies

from tests.engines import plain_jpeg

WHOLE = plain_jpeg(40)

schemathesis.openapi.format(
    "binary", strategies.sampled_from([WHOLE, plain_jpeg(200, 100), WHOLE[:-20], WHOLE[:3]])
)
