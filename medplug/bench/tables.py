"""A report in words: the cells of its tables, and those tables in Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Callable

from .report import Machine, Report, Row

COLUMNS = ("library", "how", "ms", "vs fastest peer", "vs fastest exact", "of roofline", "answer", "largest error")


def describe(machine: Machine) -> list[str]:
    """Say in three lines where the figures come from."""
    copied = ", ".join(
        f"{rate / 1e9:.1f} GB/s with {threads} thread{'' if threads == '1' else 's'}"
        for threads, rate in machine.copy_bytes_per_second.items()
    )
    load = "" if machine.load is None else f", load {machine.load:g} at the start"
    return [
        f"{machine.cpu} ({machine.instructions}), {machine.cpus} CPUs, {machine.system}{load}",
        f"copies {copied}",
        ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
    ]


def heading(title: str, threads: int) -> str:
    """Name a table, and the figure that it compares."""
    figure = "1 thread, median CPU time" if threads == 1 else f"{threads} threads, best time on the clock"
    return f"{title} ({figure})"


def cells(row: Row) -> tuple[str, ...]:
    """Return one row's cells, in the order of `COLUMNS`."""
    answer = row.answer if row.problem is None else f"{row.answer}: {row.problem}"
    return (
        row.library,
        row.how,
        _of(row.seconds, lambda seconds: f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"),
        _of(row.ratio, lambda ratio: f"{ratio:.2f}"),
        _of(row.ratio_exact, lambda ratio: f"{ratio:.2f}"),
        _of(row.roofline, lambda share: f"{share:.0%}"),
        answer,
        _of(row.error, lambda error: f"{error:.1e}"),
    )


def markdown(report: Report) -> str:
    """Return the machine and every table."""
    parts = ["\n".join(f"- {line}" for line in describe(report.machine))]
    for item in report.items:
        for threads in report.threads:
            lines = [
                f"**{heading(item.title, threads)}**",
                "",
                f"| {' | '.join(COLUMNS)} |",
                f"|{'|'.join('---' for _ in COLUMNS)}|",
            ]
            for row in report.of(item.name, threads):
                texts = [text.replace("|", "\\|") for text in cells(row)]
                if row.library == "medplug":
                    texts = [f"**{text}**" if text else "" for text in texts]
                lines.append(f"| {' | '.join(texts)} |")
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _of(value: float | None, words: Callable[[float], str]) -> str:
    return "" if value is None else words(value)
