"""Options: the command line options of a benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .place import ROOT

__all__ = ["PEERS", "Options", "parse"]

PEERS = ("torch", "jax")


@dataclass(frozen=True)
class Options:
    """The options of a benchmark.

    Attributes:
        against: the peers.
        quick: small sizes and few rounds, to see that everything runs; the numbers mean little.
        rounds: the least number of turns of each contender.
        seconds: the length of a turn, in which a call is repeated as often as it fits.
        case_seconds: for how long the contenders continue to take turns if the rounds took less.
        only: a text that the names of the chosen cases contain.
        out: the folder for JSON and pictures.
    """

    against: tuple[str, ...] = PEERS
    quick: bool = False
    rounds: int = 7
    seconds: float = 0.08
    case_seconds: float = 6.0
    only: str = ""
    out: Path = ROOT / "benchmarks" / "out"


def parse(description: str, arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line."""
    default, quick = Options(), Options(quick=True, rounds=3, seconds=0.03, case_seconds=0.0)
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--against", nargs="*", choices=PEERS, default=list(PEERS), help="the peers; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: does everything run?")
    parser.add_argument("--rounds", type=int, help=f"at least so many turns for each contender ({default.rounds})")
    parser.add_argument("--seconds", type=float, help=f"how long a turn takes ({default.seconds})")
    parser.add_argument("--case-seconds", type=float, help=f"at least so long a case ({default.case_seconds})")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with this text in their names")
    parser.add_argument("--out", type=Path, default=default.out, help="folder for JSON and pictures (benchmarks/out)")
    given = parser.parse_args(arguments)
    base = quick if given.quick else default
    return Options(
        tuple(given.against),
        given.quick,
        max(1, base.rounds if given.rounds is None else given.rounds),
        base.seconds if given.seconds is None else given.seconds,
        base.case_seconds if given.case_seconds is None else given.case_seconds,
        given.only,
        given.out,
    )
