"""Carries out the Containerfile below a folder, and runs what comes of it, as root in namespaces of this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.containerfile import Stage, expand, line_of, pairs, stages

LIMIT = 900.0
"""Seconds that a step may take; the first one downloads some 100 MB."""
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc/ssl", "etc/alternatives", "etc/ld.so.conf.d")
"""What the base image brings, by this machine's."""
FILES = ("etc/resolv.conf", "etc/hosts", "etc/nsswitch.conf", "etc/login.defs")


class Rehearsal:
    """Carries out the stages of a Containerfile below a folder."""

    def __init__(self, place: Path, context: Path, python: Path, cache: Path) -> None:
        self._place = place
        self._context = context
        self._python = python
        """The prefix of this machine's Python 3.13, which is /usr/local in the image."""
        self._cache = cache
        self._stages = stages((context / "deploy" / "Containerfile").read_text())
        self.variables: dict[str, str] = {}
        """What a run adds to the image's environment."""
        self._made: dict[str, tuple[Path, dict[str, str]]] = {}

    def make(self, name: str) -> tuple[Path, dict[str, str]]:
        """Return the root of a stage, and its environment."""
        if name not in self._made:
            stage = self._stages[name]
            root = self._place / name
            variables: dict[str, str] = {}
            if stage.base in self._stages:
                base, variables = self.make(stage.base)
                subprocess.run(["/bin/cp", "-a", base, root], check=True, timeout=LIMIT)
            else:
                self._begin(root)
            self._made[name] = root, self._carry_out(stage, root, dict(variables))
        return self._made[name]

    def image(self, name: str, word: str) -> list[str]:
        """Return the arguments of the last instruction of that kind, as the image has it."""
        for stage in reversed(line_of(name, self._stages)):
            if instruction := stage.last(word):
                return instruction.arguments
        return []

    def _begin(self, root: Path) -> None:
        """Lay out what the base image has."""
        for folder in (*SYSTEM, "proc", "dev", "tmp", "root/.cache/pip", "var/lib", "opt"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if Path("/", name).exists():
                shutil.copyfile(Path("/", name), root / name)
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\n")
        # as in the base image, whose libpython is in /usr/local/lib
        (root / "etc" / "ld.so.conf").write_text(
            "/usr/local/lib\ninclude /etc/ld.so.conf.d/*.conf\n"
        )
        run_apart(
            self._mounts(root), ["/usr/sbin/chroot", root, "/sbin/ldconfig"], self._environment({})
        )

    def _carry_out(self, stage: Stage, root: Path, variables: dict[str, str]) -> dict[str, str]:
        """Carry out a stage's instructions in `root`; return the environment that they lead to."""
        folder = variables.pop("PWD", "/")
        for each in stage.instructions:
            print(f"{stage.name}: {each.word} {' '.join(each.text.split())[:110]}", flush=True)
            match each.word:
                case "ENV":
                    variables |= pairs(expand(each.text, variables))
                case "WORKDIR":
                    folder = each.text
                    (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(each.arguments, each.flags.get("from"), root, folder)
                case "RUN":
                    command = f"cd {folder} && {each.text}"
                    program = ["/usr/sbin/chroot", root, "/bin/sh", "-c", command]
                    run_apart(self._mounts(root), program, self._environment(variables))
        return {**variables, "PWD": folder}

    def _copy(self, arguments: Sequence[str], stage: str | None, root: Path, folder: str) -> None:
        source = self.make(stage)[0] if stage else self._context
        *names, target = arguments
        into = root / (target if target.startswith("/") else f"{folder}/{target}").lstrip("/")
        for name in names:
            matches = list(source.glob(name.lstrip("/")))
            if not matches:
                raise SystemExit(f"rehearse-image: COPY finds no {name}: run make dist first")
            for path in matches:
                # of a folder the content, of a file itself
                what = f"{path}/." if path.is_dir() else path
                (into if target.endswith("/") or path.is_dir() else into.parent).mkdir(
                    parents=True, exist_ok=True
                )
                subprocess.run(["/bin/cp", "-a", what, into], check=True, timeout=LIMIT)

    def _mounts(self, root: Path, volume: Path | None = None) -> list[str]:
        """Return the shell commands that give a root what the base image has; with a volume, it is read-only beside."""
        lines = ["mount --make-rprivate /"]

        def bind(source: Path, target: Path, options: str = "ro") -> None:
            lines.append(
                f"mount --bind {source} {target} && mount -o remount,bind,{options} {target}"
            )

        if volume:
            bind(root, root)
            bind(volume, root / "var/lib/neurolink", "rw")
        else:
            bind(self._cache, root / "root/.cache/pip", "rw")
        for name in SYSTEM:
            if Path("/", name).exists():
                bind(Path("/", name), root / name)
        bind(self._python, root / "usr/local")
        lines.append(f"mount --rbind /dev {root}/dev")
        lines.append(f"mount -t tmpfs tmpfs {root / 'tmp'}")
        lines.append(f"mount -t proc proc {root}/proc")
        return lines

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return a step's environment: the image's, and how this machine reaches the package index."""
        network = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name.lower().endswith("_proxy") or name == "SSL_CERT_FILE"
        }
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/root",
            **network,
            **variables,
        }

    def run(
        self, name: str, arguments: Sequence[str], home: Path, entry: Sequence[str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the image `name` with these arguments, its volume in `home`; `entry` replaces its ENTRYPOINT."""
        if entry is None:
            entry = self.image(name, "ENTRYPOINT")
        root, variables = self.make(name)
        variables = {**variables, **self.variables}
        command = self.as_user(name, root, [*entry, *arguments])
        return subprocess.Popen(
            apart(self._mounts(root, home), command),
            env=without_folder(variables), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def as_user(self, name: str, root: Path, command: Sequence[str]) -> list[str]:
        """Return a command as the image's user runs it, who can't become another."""
        uid, _, gid = self.image(name, "USER")[0].partition(":")
        user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        bounds = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        folder = self.make(name)[1]["PWD"]
        apart = ["/usr/sbin/chroot", str(root), "/usr/bin/setpriv", *user, *bounds]
        return [*apart, "/usr/bin/env", "-C", folder, *command]

    def execute(
        self, name: str, process: subprocess.Popen[str], arguments: Sequence[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the running image, as `docker exec` does."""
        root, variables = self.make(name)
        command = ["/usr/bin/nsenter", f"--target={first_process(process)}", "--mount", "--pid"]
        command += self.as_user(name, root, arguments)
        environment = without_folder({**variables, **self.variables})
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )

    def health_check(self, name: str) -> list[str]:
        words = self.image(name, "HEALTHCHECK")
        return words[words.index("CMD") + 1 :]


def without_folder(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name != "PWD"}


def first_process(process: subprocess.Popen[str]) -> int:
    """Return the process that is number 1 within."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def apart(mounts: Sequence[str], command: Sequence[str | Path]) -> list[str]:
    """Return the command that runs another as process 1 of namespaces of its own, after these mounts."""
    script = " && ".join([*mounts, f"exec {shlex.join(map(str, command))}"])
    return [
        "/usr/bin/unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "/bin/sh",
        "-c",
        script,
    ]


def run_apart(
    mounts: Sequence[str], command: Sequence[str | Path], variables: Mapping[str, str]
) -> None:
    done = subprocess.run(
        apart(mounts, command), env=dict(variables), text=True, timeout=LIMIT, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"rehearse-image: this step failed:\n{done.stdout}")
