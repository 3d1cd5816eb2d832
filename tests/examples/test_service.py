"""The example service: same answers as the policy, defer on anything unknown, no start on a broken file."""

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from bayespref.defer.policy import from_scores
from bayespref.errors import PolicyFileError

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # which HTTP library the test client likes best is none of our claims
    from fastapi.testclient import TestClient

JSON = {"content-type": "application/json"}
FOLDER = Path(__file__).resolve().parents[2] / "examples" / "service"


@pytest.fixture(scope="module")
def policy():
    return from_scores(
        [0.05, np.inf, 0.1, 0.9],
        [1, -1, 0, 2],
        labels=[("s0", "u"), ("s1", "u"), ("7", "u"), ("s0", "v")],
        region=("state", "context"),
        items=["x", "y", "z"],
        c_defer=0.2,
        flag=["", "no_data", "", ""],
        data_hash="sha256:00",
        assumptions=["rewards in [0, 1]"],
    )


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("example_service", FOLDER / "app.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # where the framework looks the annotations up
    spec.loader.exec_module(loaded)
    yield loaded
    del sys.modules[spec.name]


@pytest.fixture
def client(policy, module, tmp_path):
    with TestClient(module.create_app(policy.save(tmp_path / "policy.json"))) as found:
        yield found


def ask(client, *cases):
    response = client.post("/decide", content=json.dumps({"cases": cases}), headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()["answers"]


def test_answers_are_those_of_the_policy(client, policy, module):
    cases = [
        {"state": "s0", "context": "u"},
        {"state": "s1", "context": "u"},
        {"state": 7, "context": "u"},
        {"state": "s0", "context": "u", "item_a": "y", "item_b": "z"},
        {"state": "s0", "context": "u", "item_a": "x", "item_b": "z"},
    ]
    found = ask(client, *cases)
    for case, got in zip(cases, found, strict=True):
        expected = policy.lookup(case)
        assert (got["decision"], got["action"], got["reason"]) == expected[:3]
    assert [got["decision"] for got in found] == ["act", "defer", "act", "act", "defer"]
    assert found[0] == {
        "decision": "act",
        "action": "y",
        "reason": "score_below_threshold",
        "score": 0.05,
        "threshold": 0.2,
    }
    assert found[1]["score"] is None  # unbounded, which JSON cannot say
    assert module.answer(policy, cases[1]).score is None
    assert found[4]["reason"] == "not_offered"


@pytest.mark.parametrize(
    "case",
    [
        {"state": "s9", "context": "u"},
        {"state": "S0", "context": "u"},
        {"context": "u"},
        {},
        {"state": None, "context": "u"},
        {"state": float("nan"), "context": "u"},
        {"state": float("inf"), "context": "u"},
        {"state": 0.5, "context": "u"},
        {"state": True, "context": "u"},
        {"state": ["s0"], "context": "u"},
        {"state": {"s0": 1}, "context": "u"},
        {"state": 10**400, "context": "u"},
        {"state": "\ud800", "context": "u"},
        {"state": "s0", "context": "u", "item_a": "y"},
        {"state": "s0", "context": "u", "item_a": "y", "item_b": "q"},
        {"state": "s0", "context": "u", "item_a": "y", "item_b": None},
        {"state": "s0", "context": "u", "itema": "x", "itemb": "z"},
        {"state": "s0", "context": "u", "action": "y"},
    ],
)
def test_anything_unknown_defers(client, case):
    (found,) = ask(client, case)
    assert (found["decision"], found["action"]) == ("defer", None)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", '{"cases": []}', '{"cases": {}}', '{"cases": ["s0"]}', '{"cases": NaN}', '{"case": [{}]}', "null"],
)
def test_a_body_of_another_shape_gets_no_decision(client, body):
    response = client.post("/decide", content=body, headers=JSON)
    assert response.status_code == 422
    assert "answers" not in response.json()


def test_too_many_cases_get_no_decision(client, module):
    case = {"state": "s0", "context": "u"}
    assert client.post("/decide", json={"cases": [case] * (module.MOST_CASES + 1)}).status_code == 422
    assert client.get("/deferred").json() == {}


def test_counters_add_up_over_requests(client):
    ask(client, {"state": "s0", "context": "u"}, {"state": "s9", "context": "u"})
    ask(client, {"state": "s0", "context": "u"}, {"state": "s1", "context": "u"})
    assert client.get("/deferred").json() == {"unseen_state": 0.25, "no_data": 0.25}
    text = client.get("/metrics").text.splitlines()
    assert 'bayespref_decisions_total{decision="act",reason="score_below_threshold"} 2' in text
    assert 'bayespref_decisions_total{decision="defer",reason="no_data"} 1' in text


def test_it_says_what_it_serves(client, policy):
    found = client.get("/policy").json()
    assert found["region"] == ["state", "context"]
    assert (found["data_hash"], found["assumptions"]) == (policy.data_hash, list(policy.assumptions))


def test_it_refuses_to_start_on_a_file_it_cannot_trust(policy, module, tmp_path, monkeypatch):
    text = policy.to_json()
    broken = {
        "truncated": text[:-40],
        "edited": text.replace('"z"', '"x"'),
        "empty": "",
        "other": "{}",
        "nan": text.replace("0.05", "NaN"),
    }
    for name, content in broken.items():
        file = tmp_path / f"{name}.json"
        file.write_text(content, encoding="utf-8")
        with pytest.raises(PolicyFileError):
            module.create_app(file)
    with pytest.raises(FileNotFoundError):
        module.create_app(tmp_path / "absent.json")
    monkeypatch.delenv("BAYESPREF_POLICY", raising=False)
    with pytest.raises(RuntimeError, match="BAYESPREF_POLICY"):
        module.service()


BLOCKED = (
    "jax",
    "jaxlib",
    "numpyro",
    "arviz_base",
    "arviz_stats",
    "xarray",
    "matplotlib",
    "networkx",
    "pandas",
    "pyarrow",
)
WITHOUT_TRAINING = """
import importlib.util, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Block())
spec = importlib.util.spec_from_file_location("app", APP)
app = importlib.util.module_from_spec(spec)
sys.modules["app"] = app
spec.loader.exec_module(app)
from fastapi.testclient import TestClient
with TestClient(app.service()) as client:
    cases = [{"state": "s0", "context": "u"}, {"state": "s1", "context": "u"}]
    print([one["decision"] for one in client.post("/decide", json={"cases": cases}).json()["answers"]])
assert not set(BLOCKED) & set(sys.modules)
"""


def test_it_runs_without_the_training_stack(policy, tmp_path):
    script = f"BLOCKED = {BLOCKED!r}\nAPP = {str(FOLDER / 'app.py')!r}\n{WITHOUT_TRAINING}"
    path = policy.save(tmp_path / "policy.json")
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"BAYESPREF_POLICY": str(path), "PATH": ""},
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "['act', 'defer']"
