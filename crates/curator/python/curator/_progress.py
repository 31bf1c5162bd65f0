"""What a run tells while it is under way: warnings, stages' log lines, and how far it is."""

import sys
import time
from typing import Any, Optional

__all__ = ["Progress", "in_notebook"]

_EVERY_SECONDS = 0.2


class Progress:
    """Takes notes of the program, one at a time.

    A notebook shows one table per run, which changes; a terminal, one line.
    """

    def __init__(self, stages: list[str], wanted: Optional[bool], logs: bool) -> None:
        self._stages = dict.fromkeys(stages, (0, 0))
        self._logs = logs
        self._building: dict[str, str] = {}
        self._shown: Any = None
        self._told = 0.0
        self._line = False
        self._notebook = in_notebook() if wanted is not False else False
        self._terminal = not self._notebook and (
            wanted is True or (wanted is None and sys.stderr is not None and sys.stderr.isatty())
        )

    def __call__(self, note: dict[str, Any]) -> None:
        event = note.get("event")
        if event == "log":
            if self._logs:
                # A notebook shows the standard error stream as a problem.
                out = sys.stdout if self._notebook else sys.stderr
                self._say(f"[{note['stage']}] {note['line']}", out)
        elif event == "warning":
            stage = f"stage {note['stage']!r}: " if note.get("stage") else ""
            self._say(f"warning: {stage}{note['message']}", sys.stderr)
        elif event == "environment_building":
            self._building[note["key"]] = note["phase"]
            self._show()
        elif event == "environment_built":
            self._building.pop(note["key"], None)
            self._show()
        elif event == "ended":
            # Whatever follows, such as a traceback, begins on a line of its own.
            self._building.clear()
            if self._shown is not None or self._line:
                self._show(is_last=True)
        elif event in ("progress", "finished"):
            self._stages.update({name: tuple(sums) for name, sums in note["stages"].items()})
            self._show(is_last=event == "finished")

    def _say(self, text: str, out: Any) -> None:
        if out is None:
            return
        self._clear()
        # What a stage prints must not steer the terminal.
        clean = "".join(it if it.isprintable() or it == "\t" else ascii(it)[1:-1] for it in text)
        print(clean, file=out)

    def _clear(self) -> None:
        if self._line:
            sys.stderr.write("\r\x1b[K")
            self._line = False

    def _show(self, is_last: bool = False) -> None:
        now = time.monotonic()
        if not (self._notebook or self._terminal) or (
            now - self._told < _EVERY_SECONDS and not is_last
        ):
            return
        self._told = now
        if self._notebook:
            self._display()
            return
        counts = "  ".join(f"{name} {done}" for name, (done, _) in self._stages.items())
        phases = "".join(f"  {key[:12]}: {phase}" for key, phase in self._building.items())
        self._clear()
        if not is_last:
            sys.stderr.write((counts + phases)[:200])
            sys.stderr.flush()
            self._line = True

    def _display(self) -> None:
        from importlib import import_module

        display = import_module("IPython.display")
        table = display.HTML(self._html())
        if self._shown is None:
            self._shown = display.display(table, display_id=True)
        else:
            self._shown.update(table)

    def _html(self) -> str:
        import html

        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{done}</td><td>{out}</td></tr>"
            for name, (done, out) in self._stages.items()
        )
        building = "".join(
            f"<tr><td>environment {html.escape(key[:12])}</td>"
            f"<td colspan=2>{html.escape(phase)}</td></tr>"
            for key, phase in self._building.items()
        )
        head = "<tr><th>stage</th><th>done</th><th>outputs</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}{building}</tbody></table>"


def in_notebook() -> bool:
    """Returns whether the program runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
