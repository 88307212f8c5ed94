"""What the sources never do, where ruff's rules could be told to look away."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("worker", "client", "schemas", "deploy")
    for path in (ROOT / folder).rglob("*.py")
)

FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("requests", "urllib.request", "http.client", "urllib3", "httpx", "aiohttp", "ftplib"),
}
"""They run what they read, or fetch what they are told to."""

ASKS_WHAT_IT_WAS_TOLD_TO = {
    "deploy/healthcheck.py": {"http.client"},  # its own container
    # The camera that is to be read, and no other place.
    "worker/fer_worker/tools/media/camera_check.py": {"http.client", "urllib.request"},
}

FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "input"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("yaml.load", "tempfile.mktemp", "np.load", "numpy.load"),
}

READS_THE_WEIGHTS = {"worker/fer_worker/inference/weights/__init__.py": {"np.load"}}

OPENS_A_PATH = {"cv2.imread", "cv2.imreadmulti", "cv2.VideoCapture"}
HANDS_PATHS_OF_AN_OPERATOR = {
    f"worker/fer_worker/tools/media/{name}.py" for name in ("cameras", "clips")
}
"""Where clips and cameras are opened that `submit` and `report` were told to read."""


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{name_of(owner)}.{name}"
        case _:
            return ""


def offences(name: str, text: str) -> Iterator[str]:
    """What a source of this name and text should not do."""
    modules = FORBIDDEN_MODULES - ASKS_WHAT_IT_WAS_TOLD_TO.get(name, set())
    forbidden = FORBIDDEN_CALLS - READS_THE_WEIGHTS.get(name, set())
    if name not in HANDS_PATHS_OF_AN_OPERATOR:
        forbidden = forbidden | OPENS_A_PATH
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in modules)
            case ast.ImportFrom(module=str(module)) if module in modules:
                yield module
            case ast.Call(func=function, keywords=keywords):
                if name_of(function) in forbidden:
                    yield name_of(function)
                for keyword in keywords:
                    is_false = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                    if keyword.arg in {"shell", "allow_pickle"} and not is_false:
                        yield f"{keyword.arg}={ast.unparse(keyword.value)}"


@pytest.mark.parametrize("name", SOURCES)
def test_source_runs_and_fetches_nothing_that_it_is_sent(name: str) -> None:
    assert list(offences(name, (ROOT / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from urllib.request import urlopen",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=chosen)",
        "np.load(path, allow_pickle=True)",
        "cv2.imread(frame)",
        "eval(text)",
    ],
)
def test_offence_is_found(text: str) -> None:
    assert list(offences("worker/made_up.py", text))
