"""What schemathesis uploads as a file: it cannot think of a JPEG by itself.

Nor can it of a deadline that has not passed. Loaded by schemathesis, in its own process.
"""

import base64

import schemathesis
from hypothesis import strategies

from tests.engines import plain_jpeg

WHOLE = plain_jpeg(40)
FILES = [WHOLE, plain_jpeg(200, 100), WHOLE[:-20], WHOLE[:3]]

schemathesis.openapi.format("binary", strategies.sampled_from(FILES))
schemathesis.openapi.format(
    "byte", strategies.sampled_from([base64.b64encode(jpeg).decode() for jpeg in FILES])
)
schemathesis.openapi.format("date-time", strategies.just("2099-12-31T23:59:59+00:00"))
