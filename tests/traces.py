"""What a command and its processes asked of the system: connections, names, files; by strace."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import wait_until

SENDING = {"connect", "sendto", "sendmsg", "sendmmsg"}
CALLS = ",".join(SENDING) + (
    ",open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
    ",mknod,mknodat,unlink,unlinkat,truncate"
)

_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_INTERNET = re.compile(
    r"sa_family=AF_INET6?, sin6?_port=htons\((\d+)\)"
    r'.*?inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"'
)
_LOCAL = re.compile(r'sa_family=AF_UNIX, sun_path=(@?"[^"]+")')


class Trace:
    """The calls of one command, written to a file while it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        options = f"-D -f -q -s 400 -e trace={CALLS} -o"
        self.prefix = ["strace", *options.split(), str(path)]

    def addresses(self) -> set[str]:
        """Return where connections and datagrams went: `host:port`, or a local socket's path."""
        found: set[str] = set()
        for line in self._lines():
            if internet := _INTERNET.search(line):
                found.add(f"{internet[2]}:{internet[1]}")
            elif local := _LOCAL.search(line):
                found.add(local[1])
        return found

    def files(self) -> set[Path]:
        """What was opened to be written, made, renamed or removed."""
        found: set[Path] = set()
        for line in self._lines():
            call = re.search(r"\b(\w+)\(", line)
            if call is None or re.search(r"= -1 E\w+", line):
                continue
            if call[1] in SENDING:
                continue
            if call[1] in {"open", "openat"} and not re.search(r"O_(WRONLY|RDWR|CREAT)", line):
                continue
            found.update(Path(path) for path in _PATH.findall(line))
        return found

    def _lines(self) -> Iterator[str]:
        """All lines, each call whole, once the command and its processes have ended."""
        wait_until(self._is_complete, 30, "strace has written all")
        begun: dict[str, str] = {}
        for line in self._path.read_text().splitlines():
            process, _, rest = line.partition(" ")
            if rest.endswith("<unfinished ...>"):
                begun[process] = rest.removesuffix("<unfinished ...>")
            elif "resumed>" in rest:
                yield begun.pop(process, "") + rest.partition("resumed>")[2]
            else:
                yield rest

    def _is_complete(self) -> bool:
        """Whether every process that is in it has ended."""
        processes, ended = set(), set()
        for line in self._path.read_text().splitlines():
            process, _, rest = line.partition(" ")
            processes.add(process)
            if re.match(r"\s*\+\+\+ (exited with|killed by) ", rest):
                ended.add(process)
        return bool(processes) and processes == ended
