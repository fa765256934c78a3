"""Compiles and runs the test cases of the onnx package, and writes the table of docs/onnx.md.

python -m benchmarks.onnx_conformance [--suite node directory light] [--match TEXT ...]
    [--again refused wrong crashed] [--processes 2] [--limit SECONDS] [--print]

The cases are all tests of single nodes whose inputs and outputs are float32, int8, uint8, int32,
int64 or bool (those that say shapes, axes or scales become constants, as they are in real files),
the model directories, and the network topologies. Each is compiled for this computer, run, and
compared with the stored outputs, and where they differ with onnxruntime.

What is known is kept in a journal, so that the script goes on where it was stopped; cases whose
outcome is named by --again are checked again. Results go to benchmarks/results/ and, with all
suites complete, into docs/onnx.md.
"""

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import fill

from .onnx_cases import SUITES, OnnxCase, directory_cases, light_cases, node_cases
from .onnx_check import CRASHED, PASSED, REFUSED, WRONG, Outcome
from .onnx_workers import run_checks
from .readme import RESULTS, ROOT
from .table import Row, markdown, save

JOURNAL = ROOT / "build" / "onnx_conformance.jsonl"
PAGE = ROOT / "docs" / "onnx.md"
BEGIN = "<!-- conformance: python -m benchmarks.onnx_conformance -->"
END = "<!-- end of conformance -->"
_WHAT = (
    "These are the test cases of the onnx package, compiled for this computer, run, and compared "
    "with what they store, and where that differs with onnxruntime. Of the single nodes, all count "
    "whose inputs and outputs are float32, int8, uint8, int32, int64 or bool; as in real files, "
    "int64 vectors behind the first input and what else says shapes, axes or scales are constants."
)
STATUSES = (PASSED, REFUSED, WRONG, CRASHED)
_CASES = {"node": node_cases, "directory": directory_cases, "light": light_cases}


@dataclass(frozen=True)
class Result:
    """The outcome of a case, as the journal keeps it."""

    suite: str
    op: str
    case: str
    status: str
    reason: str = ""


def main() -> None:
    """Check what is not known yet, then write the table."""
    options = _options()
    journal: Path = options.journal
    known = {} if options.fresh else read_journal(journal)
    cases = [case for suite in options.suite for case in _CASES[suite]()]
    chosen = [case for case in cases if _is_chosen(case, known, options)]
    print(f"{len(cases)} cases, {len(chosen)} to check", flush=True)
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("w" if options.fresh else "a") as file:
        outcomes = run_checks(chosen, processes=options.processes, limit_seconds=options.limit)
        for case, outcome in outcomes:
            result = _result(case, outcome)
            known[case.suite, case.name] = result
            file.write(json.dumps(asdict(result)) + "\n")
            file.flush()
            if outcome.status != PASSED:
                print(f"{outcome.status} {case.name}: {outcome.reason[:300]}", flush=True)
    results = [known[c.suite, c.name] for c in cases if (c.suite, c.name) in known]
    print(markdown(suite_rows(results)))
    if options.match or len(results) < len(cases) or set(options.suite) != set(SUITES):
        return
    save([asdict(r) for r in results if r.status != PASSED], RESULTS / "onnx_conformance.json")
    page = block(results)
    if options.print:
        print(page)
    else:
        PAGE.write_text(replaced(PAGE.read_text(), page))


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--suite", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--match", nargs="+", default=[], help="only names that hold one of these")
    parser.add_argument("--again", nargs="+", choices=STATUSES, default=[])
    parser.add_argument("--fresh", action="store_true", help="forget what the journal holds")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=300, help="seconds for one case")
    parser.add_argument("--journal", type=Path, default=JOURNAL)
    parser.add_argument("--print", action="store_true", help="leave docs/onnx.md as it is")
    return parser.parse_args()


def _is_chosen(case: OnnxCase, known: dict[tuple[str, str], Result], options: Namespace) -> bool:
    if options.match and not any(text in case.name for text in options.match):
        return False
    result = known.get((case.suite, case.name))
    return result is None or result.status in options.again


def _result(case: OnnxCase, outcome: Outcome) -> Result:
    return Result(case.suite, case.op, case.name, outcome.status, outcome.reason)


def read_journal(journal: Path) -> dict[tuple[str, str], Result]:
    """The last outcome of each case that the journal names."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    results = [Result(**json.loads(line)) for line in lines]
    return {(result.suite, result.case): result for result in results}


def block(results: Sequence[Result]) -> str:
    """The tables of docs/onnx.md: all suites, then the operators that do not pass everything."""
    nodes = [result for result in results if result.suite == "node"]
    complete = [op for op, of_op in _by_op(nodes) if all(r.status == PASSED for r in of_op)]
    parts = [
        markdown(suite_rows(results)),
        fill(_WHAT, 140),
        fill(f"Operators all of whose cases pass: {', '.join(complete)}.", 140),
        "The others:",
        markdown(op_rows(nodes)),
    ]
    others = [r for r in results if r.suite != "node" and r.status != PASSED]
    if others:
        rows = [{"model": r.case, "outcome": r.status, "why": short(r.reason)} for r in others]
        parts += ["Models that do not pass:", markdown(rows)]
    return "\n\n".join(parts)


def suite_rows(results: Sequence[Result]) -> list[Row]:
    """How many cases of each suite had which outcome."""
    rows: list[Row] = []
    for suite, name in SUITES.items():
        counts = Counter(result.status for result in results if result.suite == suite)
        if counts:
            rows.append({"suite": name, "cases": counts.total()})
            rows[-1] |= {status: counts[status] for status in STATUSES}
    return rows


def op_rows(results: Sequence[Result]) -> list[Row]:
    """The operators that do not pass all of their cases, and the most common reason."""
    rows: list[Row] = []
    for op, of_op in _by_op(results):
        counts = Counter(result.status for result in of_op)
        if counts[PASSED] == len(of_op):
            continue
        row: Row = {"operator": op, "cases": len(of_op)}
        row |= {status: counts[status] for status in STATUSES}
        reasons = Counter(short(result.reason) for result in of_op if result.status != PASSED)
        row["mostly because"] = reasons.most_common(1)[0][0]
        rows.append(row)
    return rows


def short(reason: str) -> str:
    """A reason without where it happened and what to do, fit for a cell of a table."""
    before, _, after = reason.partition(" at ")
    _, _, got = after.partition(" got ")
    what = "" if before.startswith("cannot import the operator") else f"{before}: "
    text = what + got.partition(" fix ")[0] if got else before
    text = text.replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 140 else text[:137] + "..."


def replaced(text: str, tables: str) -> str:
    """A text with other tables between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}")
    return f"{before}{begin}\n{tables}\n{end}{after}"


def _by_op(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    for op in sorted({result.op for result in results}):
        yield op, [result for result in results if result.op == op]


if __name__ == "__main__":
    main()
