"""Rewrite the tables between the marks of README.md from saved results.

python -m benchmarks.readme [--results FOLDER] [--print]

FOLDER holds the JSON of the other scripts, as `make bench` writes it: arm.json, cpu.json,
cpu_int8.json, micro.json, quantization.json, pruning.json, compress.json,
compress_instructions.json, gpu.json and compile_time.json. What is missing is left out.
"""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from .networks import INT8, NETWORKS
from .pruning import table as pruning_table
from .ratios import geometric_mean
from .table import Row, markdown

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
BEGIN, END = "<!-- benchmarks: python -m benchmarks.readme -->", "<!-- end of benchmarks -->"


def main() -> None:
    """Write the tables, or print them."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--print", action="store_true", help="leave README.md as it is")
    options = parser.parse_args()
    text = block(options.results)
    if options.print:
        print(text)
    else:
        readme = ROOT / "README.md"
        readme.write_text(replaced(readme.read_text(), text))


def block(folder: Path) -> str:
    """The tables as Markdown."""
    arm, compile_time = (_rows(folder, name) for name in ("arm", "compile_time"))
    latencies = [_rows(folder, name) for name in ("cpu", "cpu_int8")]
    parts = [_latency(rows) for rows in latencies if rows]
    if arm:
        parts += [_instructions(arm, compile_time, "arm-a72"), _instructions(arm, [], "arm-a76")]
    parts += [
        _microcontroller(_rows(folder, "micro"), core) for core in ("cortex-m4", "cortex-m55")
    ]
    quantization = _rows(folder, "quantization")
    parts += [_digits(quantization), _embeddings(quantization)]
    parts += [_pruned_digits(_rows(folder, "pruning")), _smaller(_rows(folder, "compress"))]
    parts += [_gpu(_rows(folder, "gpu")), _proportional(_rows(folder, "compress_instructions"))]
    return "\n\n".join(filter(None, parts))


def replaced(text: str, tables: str) -> str:
    """A text with other tables between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}")
    return f"{before}{begin}\n{tables}\n{end}{after}"


def _rows(folder: Path, name: str) -> list[Row]:
    file = folder / f"{name}.json"
    rows: list[Row] = json.loads(file.read_text()) if file.exists() else []
    return rows


def _latency(rows: Sequence[Row]) -> str:
    """Milliseconds on one thread, and times of two threads."""
    lines: list[Row] = []
    ratios: dict[str, list[float]] = {}
    timed = [row for row in rows if "wall ms" in row]
    runtimes = list(dict.fromkeys(row["runtime"] for row in timed))
    for network in dict.fromkeys(row["network"] for row in timed):
        one, two = (_times(timed, network, threads) for threads in (1, 2))
        if "penjing" not in one:
            continue
        line: Row = {"x86-64, ms": network}
        line |= {runtime: _milliseconds(one.get(runtime)) for runtime in runtimes}
        if "penjing" in two:
            line["penjing, 2 threads"] = _milliseconds(two["penjing"])
        for runtime, time in one.items():
            ratios.setdefault(runtime, []).append(one["penjing"] / time)
        lines.append(line)
    means = {runtime: geometric_mean(ratios.get(runtime, [])) for runtime in runtimes}
    empty = dict.fromkeys(lines[0], None)
    return markdown([*lines, {**empty, "x86-64, ms": "penjing's share, geometric mean", **means}])


def _times(rows: Sequence[Row], network: str, threads: int) -> dict[str, float]:
    chosen = [row for row in rows if (row["network"], row["threads"]) == (network, threads)]
    return {row["runtime"]: row["wall ms"] for row in chosen}


def _milliseconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.3g}"


def _instructions(rows: Sequence[Row], compile_time: Sequence[Row], target: str) -> str:
    """Millions of instructions on an ARM core, beside the best other runtime where one is known."""
    seconds = {row["network"]: row["total s"] for row in compile_time if row["target"] == "host"}
    lines: list[Row] = []
    for name in (*NETWORKS, *INT8):
        for row in rows:
            if (row["network"], row["target"]) != (name, target) or not row["best peer"]:
                continue
            line: Row = {f"Cortex-{target.removeprefix('arm-').upper()}": name}
            line["multiply-adds"] = f"{row['macs'] / 1e6:.1f} M"
            line["instructions"] = f"{row['instructions'] / 1e6:.2f} M"
            line["best other"], line["share"] = row["best peer"], row["of peer"]
            if seconds:
                line["compile time, s"] = seconds.get(name)
            lines.append(line)
    return markdown(lines) if lines else ""


def _microcontroller(rows: Sequence[Row], core: str) -> str:
    """Millions of instructions and bytes on a Cortex-M core, beside CMSIS-NN."""
    lines: list[Row] = []
    for row in (row for row in rows if row["core"] == core):
        peer = row["CMSIS-NN"]
        line: Row = {f"{core.title()}, int8": row["network"]}
        line["multiply-adds"] = f"{row['multiply-adds'] / 1e6:.2f} M"
        line["instructions"] = f"{row['instructions'] / 1e6:.3g} M"
        line |= {"CMSIS-NN": f"{peer / 1e6:.3g} M", "share": row["instructions"] / peer}
        line |= {f"{part} bytes": row[f"{part} bytes"] for part in ("arena", "code", "constant")}
        lines.append(line)
    return markdown(lines) if lines else ""


def _digits(rows: Sequence[Row]) -> str:
    """Percentage points that quantization changes, the mean over the seeds."""
    chosen = [row for row in rows if row["table"] == "digits"]
    lines: list[Row] = []
    for network in dict.fromkeys(row["network"] for row in chosen):
        seeds = [row for row in chosen if row["network"] == network]
        numbers = [name for name in seeds[0] if name not in ("table", "network", "seed")]
        means = {name: fmean(float(row[name]) for row in seeds) for name in numbers}
        line: Row = {"digits, accuracy": network, "float32": f"{means.pop('float32 %'):.2f} %"}
        lines.append(line | {name: f"{mean:+.2f}" for name, mean in means.items()})
    return markdown(lines) if lines else ""


def _embeddings(rows: Sequence[Row]) -> str:
    """How well a quantized MiniLM keeps the similarities and embeddings of held-out sentences."""
    kept = ("held-out, Spearman", "held-out, mean cosine", "MB")
    chosen = [row for row in rows if row["table"] == "minilm"]
    lines = [{"MiniLM": row["MiniLM"], **{name: row[name] for name in kept}} for row in chosen]
    return markdown(lines) if lines else ""


def _pruned_digits(rows: Sequence[Row]) -> str:
    """Percentage points lost by pruning, the mean over the seeds, beside Torch-Pruning."""
    lines: list[Row] = []
    for row in pruning_table(rows):
        points = {name: row[name] for name in row if "," in name and "untrained" not in name}
        lines.append({"digits, pruned": row["tool"], **points})
    return markdown(lines) if lines else ""


def _smaller(rows: Sequence[Row]) -> str:
    """How well a smaller MiniLM keeps the similarities and embeddings of held-out sentences."""
    lines: list[Row] = []
    for row in rows:
        if row["case"] not in {line["MiniLM made smaller"] for line in lines}:
            lines.append({"MiniLM made smaller": row["case"]})
        lines[-1][row["state"]] = f"{row['Spearman']} / {row['mean cosine']}"
    return markdown(lines) if lines else ""


def _gpu(rows: Sequence[Row]) -> str:
    """Launches and megabytes of libraries for GPUs."""
    sizes = ("launches", "arena MB", "library MB")
    lines = [
        {"GPU": row["target"], "network": row["network"], **{name: row[name] for name in sizes}}
        for row in rows
        if "launches" in row
    ]
    return markdown(lines) if lines else ""


def _proportional(rows: Sequence[Row]) -> str:
    """Whether the instructions of a compressed network fall as its multiply-adds do."""
    lines = [
        {
            "Cortex-A72, compressed": row["network"],
            "by": f"`{row['pass']}`",
            "multiply-adds left": row["macs left"],
            "instructions left": row["instructions left"],
        }
        for row in rows
        if row["pass"] != "none"
    ]
    return markdown(lines) if lines else ""


if __name__ == "__main__":
    main()
