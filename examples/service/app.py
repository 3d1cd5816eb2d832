"""A decision service: loads ``policy.json``, answers cases over HTTP, and defers on anything it does not know.

Run it with ``BAYESPREF_POLICY=policy.json uvicorn app:service --factory``. A policy file that is absent, truncated,
edited or of another version stops the start. Nothing of the fitting stack is imported.
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from bayespref.defer.monitor import DecisionCounts, deferral_shares, exposition
from bayespref.defer.policy import DeferralPolicy

MOST_CASES = 10_000
"""Cases in one request."""


class Cases(BaseModel):
    """Cases to decide."""

    model_config = ConfigDict(extra="forbid")

    cases: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_CASES)
    """One object a case: the policy's region columns, and ``item_a`` and ``item_b`` where a pair is on offer."""


class Answer(BaseModel):
    """What to do with one case."""

    decision: str
    action: str | None
    reason: str
    score: float | None
    threshold: float | None


class Answers(BaseModel):
    """Answers in the order of the cases, and the table they rest on."""

    answers: list[Answer]
    data_hash: str


def answer(policy: DeferralPolicy, case: dict[str, Any]) -> Answer:
    """Decide one case.

    A field the policy does not know is a typing error of the caller as likely as not, so such a case defers like one
    that lacks a field.
    """
    pair = {"item_a", "item_b"} & set(case)
    if set(case) - set(policy.region) - pair or len(pair) == 1:
        return Answer(decision="defer", action=None, reason="missing_value", score=None, threshold=None)
    found = policy.lookup(case)
    return Answer(
        decision=found.decision,
        action=found.action,
        reason=found.reason,
        score=found.score if math.isfinite(found.score) else None,
        threshold=found.threshold if math.isfinite(found.threshold) else None,
    )


def create_app(path: str | os.PathLike[str]) -> FastAPI:
    """Load the policy and build the service; a file that cannot be trusted raises here, before anything is served."""
    policy = DeferralPolicy.load(Path(path))
    counts: DecisionCounts = Counter()
    lock = threading.Lock()
    app = FastAPI(title="bayespref decisions")

    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        # The standard handler repeats the input, which may hold a NaN that JSON cannot say.
        rules = [{"where": [str(part) for part in one["loc"]], "rule": one["msg"]} for one in error.errors()]
        return JSONResponse({"detail": rules}, status_code=422)

    @app.post("/decide")
    def decide(given: Cases) -> Answers:
        answers = [answer(policy, case) for case in given.cases]
        with lock:
            counts.update((one.decision, one.reason) for one in answers)
        return Answers(answers=answers, data_hash=policy.data_hash)

    @app.get("/policy")
    def describe() -> dict[str, Any]:
        return {
            "rule": policy.rule,
            "region": list(policy.region),
            "n_regions": len(policy.labels),
            "units": policy.link_units,
            "assumptions": list(policy.assumptions),
            "data_hash": policy.data_hash,
            "package_version": policy.package_version,
        }

    @app.get("/deferred")
    def deferred() -> dict[str, float]:
        with lock:
            return deferral_shares(counts)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        with lock:
            text = exposition(counts)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return app


def service() -> FastAPI:
    """Build the service from the file named by the environment variable ``BAYESPREF_POLICY``."""
    path = os.environ.get("BAYESPREF_POLICY")
    if not path:
        raise RuntimeError("BAYESPREF_POLICY: set it to the path of policy.json")
    return create_app(path)
