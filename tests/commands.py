"""What a command line in a page names: commands, options, targets, services. Nothing is run."""

import re
import shlex
import tomllib
from collections.abc import Iterator

import click
import yaml

from fer_worker.cli import main
from tests.pages import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PROFILES = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
STAGES = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
TARGETS = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def check(line: str) -> None:
    """Look up what a line names.

    Raises:
        AssertionError: there is no such thing.
        click.UsageError: there is no such command or option of ours, or it takes no such value.
    """
    for words in _simple_commands(line):
        match words:
            case ["fer-worker", *arguments]:
                _check_ours(arguments)
            case ["make", *arguments]:
                targets = [word for word in arguments if "=" not in word]
                assert set(targets) <= set(TARGETS), line
            case ["docker", "compose", *arguments]:
                _check_compose(arguments)
            case ["docker", "build", *arguments]:
                wanted = {
                    arguments[i + 1] for i, word in enumerate(arguments) if word == "--target"
                }
                assert wanted <= set(STAGES), line
            case ["docker", "run", *arguments] if "run" in arguments:
                _check_ours(arguments[arguments.index("run") :])
            case ["kubectl", "apply", "-k", folder]:
                assert (ROOT / folder / "kustomization.yaml").exists(), line
            case ["pip", "install", *_]:
                assert "fer-worker" not in line, "no package index has it"
                named = re.findall(r"\.\[([\w,]+)\]", line)
                assert {extra for names in named for extra in names.split(",")} <= set(EXTRAS), line
            case ["python", "-m", module, *_] if (ROOT / module.partition(".")[0]).is_dir():
                path = ROOT / module.replace(".", "/")
                assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), line
            case ["python" | "node", script, *_] if script.endswith((".py", ".mjs")):
                assert any((ROOT / folder / script).exists() for folder in ("", "examples")), line
            case [program, *_] if program.startswith("scripts/"):
                assert (ROOT / program).exists(), line


def _check_ours(arguments: list[str]) -> None:
    """Parse arguments as `fer-worker` does, without calling the command."""
    name: str | None = "fer-worker"
    command: click.Command | None = main
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = command.make_context(name, list(arguments), parent=context)
        name, command, arguments = command.resolve_command(context, arguments)
    assert command is not None
    command.make_context(name, arguments, parent=context)


def _check_compose(arguments: list[str]) -> None:
    words = iter(arguments)
    for word in words:
        match word:
            case "--profile":
                assert next(words) in PROFILES | {"*"}
            case "--scale":
                assert next(words).partition("=")[0] in SERVICES
            case "exec":
                assert next(words) in SERVICES
                assert next(words) == "fer-worker"
                _check_ours(list(words))


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The commands that a line joins, as words: without redirections, variables and `&`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word and not set(word) <= set(";&|()"):
            words.append(word)
            continue
        redirections = [i for i, each in enumerate(words) if set(each) <= set("<>")]
        for i in reversed(redirections):
            del words[i : i + 2]
            if i and words[i - 1] == "2":
                del words[i - 1]
        while words and re.match(r"\w+=", words[0]):
            del words[0]
        if words:
            yield words
        words = []
