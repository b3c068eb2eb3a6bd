"""Cluster: scores files on a Dask cluster, with one session in each worker process."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from ..session.session import Session
from .parts import Part, reason
from .score import Scored, score_file

__all__ = ["score_on_cluster"]


_SETTINGS = {
    # A worker that is killed has one file only: no other one is suspected of having killed it.
    "distributed.scheduler.worker-saturation": 1.0,
    # Samples of what workers do, every 10 ms, would take a fifth of their time.
    "distributed.worker.profile.enabled": False,
    # Dask would return freed memory to the system at once, and each batch would request its pages anew.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}
"""The settings of a local cluster."""


class _Scorer(WorkerPlugin):  # type: ignore[misc]  # it has no types here
    """One session in each worker process. A process that replaces a killed one gets it, too."""

    def __init__(self, name: str, session: Session, options: Mapping[str, Any]) -> None:
        self.name = name
        self.session = session
        self.options = options

    def score(self, part: Part) -> Scored:
        return score_file(self.session, part.source, part.target, **self.options)


def score_on_cluster(
    session: Session,
    parts: Sequence[Part],
    options: Mapping[str, Any],
    *,
    workers: int = 0,
    scheduler: str | None = None,
) -> Iterator[tuple[Part, Scored | str]]:
    """Scores files on a Dask cluster, and yields what became of each as it is done: `Scored`, or why it failed.

    Args:
        session: the model; every worker process loads it once, from the same path or bytes.
        parts: the files; the workers must see them under the same paths.
        options: further arguments of `score_file`.
        workers: the number of processes of a local cluster, each with one thread.
        scheduler: the address of a running scheduler, in place of a local cluster.

    Raises:
        OSError: the scheduler does not answer.
        LucidError: the workers do not find the model, or find another one.
    """
    with ExitStack() as stack:
        if scheduler is None:
            stack.enter_context(dask.config.set(_SETTINGS))
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(cluster)))
        else:
            client = stack.enter_context(Client(scheduler))
        name = f"lucid.score-{secrets.token_hex(4)}"
        client.register_plugin(_Scorer(name, session, options))
        stack.callback(client.unregister_worker_plugin, name)
        futures = {
            future: part for part, future in zip(parts, client.map(_score, parts, name=name, pure=False), strict=True)
        }
        for future in as_completed(list(futures)):
            part = futures.pop(future)
            yield part, _outcome(part, future)


def _score(part: Part, name: str) -> Scored:
    scorer: _Scorer = get_worker().plugins[name]
    return scorer.score(part)


def _outcome(part: Part, future: Any) -> Scored | str:
    """Returns what became of a file."""
    if future.status == "cancelled":
        return f"{part.source}: the cluster has lost it; run the job again"
    error = future.exception()
    if isinstance(error, KilledWorker):
        return f"{part.source}: each worker process that scored it was killed, as for want of memory, or by a crash"
    return future.result() if error is None else reason(part, error)
