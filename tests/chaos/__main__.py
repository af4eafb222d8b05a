"""`python -m tests.chaos`: random faults against running jobs; exit status 1 when something happened that must not."""
from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from personal_avatar.terminal import table

from tests.chaos.faults import FAULTS
from tests.chaos.running import Verdict, tried
from tests.chaos.trainings import SURVIVED


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--seed", type=int, default=None, help="what chance begins with: the same seed, the same ones")
    parser.add_argument("--only", choices=sorted(FAULTS), action="append", help="only this kind; can be given again")
    parser.add_argument("--real", type=int, default=2, metavar="N", help="how many of them to real trainings (2)")
    parser.add_argument("--together", type=int, default=4, metavar="N", help="how many at the same time (4)")
    args = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    sys.stdout.write(f"{args.faults} faults, seed {seed}\n")
    verdicts = []
    with ThreadPoolExecutor(args.together) as pool:
        for verdict in pool.map(lambda one: tried(*one), plan(args.faults, args.real, seed, args.only)):
            sys.stdout.write(f"{len(verdicts) + 1:4d}  {verdict}\n")
            sys.stdout.flush()
            verdicts.append(verdict)
    sys.stdout.write("\n" + summary(verdicts) + "\n")
    return 1 if any(verdict.broken for verdict in verdicts) else 0


def plan(count: int, real: int, seed: int, only: Sequence[str] | None) -> Iterator[tuple[str, int, bool]]:
    """(kind, seed, whether to a real training), those first, as they take longest."""
    survived = [name for name in SURVIVED if not only or name in only]
    real = min(real, count) if survived else 0
    yield from ((name, number, True) for name, number in drawn(real, seed, survived))
    yield from ((name, number, False) for name, number in drawn(count - real, seed, only or list(FAULTS)))


def drawn(count: int, seed: int, kinds: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Kinds in a random order, each as often as the others, with a seed of its own."""
    dice = random.Random(seed)
    line: list[str] = []
    for _ in range(count):
        line = line or dice.sample(kinds, len(kinds))
        yield line.pop(), dice.randrange(10**9)


def summary(verdicts: Iterable[Verdict]) -> str:
    """One row a kind, and the sum."""
    kinds: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        kinds.setdefault(verdict.name, []).append(verdict)
    rows = [("fault", "tried", "skipped", "taken up", "seconds", "broken")]
    rows += [_row(name, kinds[name]) for name in sorted(kinds)]
    rows.append(_row("all", [verdict for found in kinds.values() for verdict in found]))
    return table(rows)


def _row(name: str, found: Sequence[Verdict]) -> tuple[str, ...]:
    skipped = sum(bool(verdict.skipped) for verdict in found)
    seconds = sum(verdict.seconds for verdict in found) / len(found) if found else 0.0
    return (name, str(len(found) - skipped), str(skipped), str(sum(verdict.restarts for verdict in found)),
            f"{seconds:.1f}", str(sum(bool(verdict.broken) for verdict in found)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
