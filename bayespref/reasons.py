"""Reason codes and verdict words: what each means, why it matters, what to do next.

A reason code stands wherever a number would be a guess: the value is NaN (or an infinite bound) and the code says why.
A verdict word stands where a question was answered. Both are stable strings; their texts may improve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple


class Reason(NamedTuple):
    """What a code or verdict word means, why it matters and what to do next."""

    code: str
    meaning: str
    why: str
    next_step: str


_ALIKE = 0.7
"""Least likeness of a name worth proposing."""

_REASONS = (
    Reason(
        "no_data",
        "no comparison was observed in this cell, so nothing but the prior speaks about it",
        "more answers in other cells do not help here, and fits that agree here agree only about the prior",
        "collect comparisons in this cell, declare an assumption that carries information into it, or defer",
    ),
    Reason(
        "disconnected",
        "no chain of comparisons made here joins the two items (within a type: none by people of that type), so more "
        "answers to the same questions cannot fix their difference",
        "a single ranking across components is made up: any order of the components fits the answers equally well",
        "collect at least one comparison that bridges the components (see suggest_comparisons), or use the bound",
    ),
    Reason(
        "separated",
        "some items always win (or always lose) against the rest, so the estimate without a prior is infinite and "
        "the size of the difference is the prior's",
        "the data say who is better, not by how much: a finite number comes from a prior, a penalty or an early stop",
        "collect comparisons among closer rivals, or read only the sign of the difference",
    ),
    Reason(
        "thin",
        "fewer comparisons than the floor asks for, or a contrast whose standard error exceeds the tolerance",
        "the number is about the right thing but too uncertain for the decision it is meant for",
        "collect more comparisons in this cell",
    ),
    Reason(
        "type_not_identified",
        "the data pin down the mixture of types but not this type's reward",
        "other sets of types fit every answer equally well, so what one type wants cannot be read off",
        "collect several comparisons per annotator, or report bounds that do not depend on the type model",
    ),
    Reason(
        "functional_form_only",
        "identified only through the shape of the choice model: another link function would change the answer",
        "nothing in the table can show that the shape is wrong, and with it the number",
        "collect several labels per annotator, or read the bounds that are free of the type model",
    ),
    Reason(
        "prior_dominated",
        "the graph connects the items, yet the data shrank the prior's variance by less than a tenth",
        "the number would follow a change of the prior nearly one for one",
        "collect more comparisons, or report how the answer moves with the prior",
    ),
    Reason(
        "model_identified",
        "no comparison identifies this contrast, but the model's structure makes its posterior narrow",
        "the interval is narrow because of an assumption, and no answer in this table tests it there",
        "say that the structure, not the data, gives this number; test the structure with a few comparisons here",
    ),
    Reason(
        "no_overlap",
        "the weighting or information matrix needs observations where there are none",
        "a weight or estimate there extrapolates; its error is not in the standard error",
        "collect in the listed cells, or change the declared target",
    ),
    Reason(
        "not_converged",
        "the chains disagree or did not move enough for these summaries to be trusted",
        "means and intervals then describe the computation rather than the posterior",
        "run longer, or with another seed, and look at the near-tied modes",
    ),
    Reason(
        "approximation_unreliable",
        "the draws come from an approximation whose error is large or was not measured",
        "intervals may be far too narrow, and one mode may stand for several",
        "fit with method='gibbs' or 'nuts' where the table allows",
    ),
    Reason(
        "near_tied_modes",
        "a second mode lies within ten nats of the best: a single-mode posterior understates the uncertainty",
        "the other mode may describe other types and lead to another decision",
        "fit fewer types, collect more labels per annotator, or report both modes",
    ),
    Reason(
        "model_misfit",
        "tables simulated from the fitted model do not look like the observed one in this respect",
        "intervals and bounds take the model for granted, so what the misfit touches is not covered by them",
        "change the model as the check suggests, or report which questions the misfit touches",
    ),
    Reason(
        "prior_sensitive",
        "the number moves when the prior is made a little stronger or weaker",
        "part of the answer is a choice of the analyst, not a finding",
        "state the prior beside the number, refit with half and twice its scale, or collect comparisons there",
    ),
    Reason(
        "range_refuted",
        "the observed differences alone span more than the assumed reward range",
        "every bound takes the range for granted, so none of them holds under it",
        "widen the range, or declare a link scale",
    ),
    Reason(
        "unseen_state",
        "the state was not in the table the policy was built from",
        "nothing is known about it, and acting by resemblance is how blind spots cause harm",
        "defer, and log the state",
    ),
    Reason(
        "unknown_item",
        "the item was not in the table the policy was built from",
        "it may be better than every item known, so no action among the known is safe against it",
        "defer, and log the item",
    ),
    Reason(
        "not_offered",
        "the action the policy would take is not among the items on offer",
        "the score bounds the regret of that action only",
        "defer, or offer the action",
    ),
    Reason(
        "missing_value",
        "a value needed for the decision is missing",
        "the region of the case is unknown, and a default region would be a guess",
        "defer, and repair the caller",
    ),
    Reason(
        "score_above_threshold",
        "what acting is expected to cost, with what is not identified at its worst, is more than the cost of deferring",
        "deferring is then the cheaper choice, however clear the favourite looks",
        "defer, or collect the comparisons that would lower the score",
    ),
    Reason(
        "score_below_threshold",
        "what acting is expected to cost, with what is not identified at its worst, is at most the cost of deferring",
        "within the declared assumptions, acting is the cheaper choice",
        "act",
    ),
    Reason(
        "below_noise_floor",
        "even the best action disagrees with a single label more often than the requested risk allows",
        "people disagree with each other that often, so no policy can reach this risk on single labels",
        "ask for a higher risk level, or for several labels per case",
    ),
    Reason(
        "not_certified",
        "no threshold on the grid could be certified at the requested level with this much calibration data",
        "acting anyway would come without the guarantee that was asked for",
        "collect more held-out comparisons, or ask for a weaker guarantee",
    ),
    Reason(
        "uncovered_region",
        "the region has no calibration mass, so no guarantee can hold there",
        "a guarantee on average over the other regions says nothing about this one",
        "force deferral in this region",
    ),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _REASONS}
"""Reason code -> what it means."""

_READ_REASON = "read the reason code beside it with explain(), and its next step"

_VERDICTS = (
    Reason(
        "yes",
        "the question that the check is named after is answered yes",
        "each check asks one question: converged does not mean identified, nor identified enough",
        "read the other verdicts before any number",
    ),
    Reason(
        "no",
        "the question that the check is named after is answered no",
        "a number that needs this to hold should not be used as if it did",
        _READ_REASON,
    ),
    Reason(
        "undecided",
        "what was observed agrees with both answers: the interval holds the limit",
        "treating it as a pass hides the doubt; a gate can be told to fail on it (fail_undecided)",
        "collect more, or decide which error would be worse and set the limit accordingly",
    ),
    Reason(
        "pass",
        "even the lower limit of the information reaches what was asked",
        "the worst direction of this bucket is known well enough for the declared use",
        "go on with this bucket",
    ),
    Reason(
        "fail",
        "even the upper limit of the information stays below what was asked",
        "some direction of this bucket is too poorly known, however small the average error is",
        "plan what to collect (bayespref.design.planner), or leave the bucket out",
    ),
    Reason(
        "passes",
        "tables simulated from the fit look like the observed one in this respect",
        "it rules out this kind of misfit only, and says nothing about cells without data",
        "look at the other checks",
    ),
    Reason(
        "fails",
        "hardly any table simulated from the fit looks like the observed one in this respect",
        "whatever rests on this respect of the model is not covered by its intervals",
        "change the model as the check suggests, or report which questions the misfit touches",
    ),
    Reason(
        "undefined",
        "the quantity does not exist for this table, so there is nothing to judge",
        "neither a pass nor a failure: the table holds nothing of this kind",
        "leave it out, or collect what it would need",
    ),
    Reason(
        "trusted",
        "enough effective rows, no heavy tail, and a best item that no setting of clip or beta changes",
        "it speaks of the weights alone: a poor proxy of the type gives smooth weights and a wrong answer",
        "look at the sensitivity table before acting on the weighted result",
    ),
    Reason(
        "diagnostic only",
        "a few rows carry the result, or it changes with clip or beta",
        "the weighted number looks as precise as any other and is not",
        "use it to find where to collect, not to decide; collect where the largest weights are",
    ),
    Reason(
        "modified",
        "contexts differ in what they prefer by more than chance",
        "a weighted loss then aims at pooled log-odds, not at the averaged reward",
        "fit types first and tilt the average of their rewards (bayespref.workflow.targeting.target)",
    ),
    Reason(
        "not shown",
        "the data show no difference in what contexts prefer",
        "absence of evidence: a small table shows few differences",
        "read how large a difference could hide (the bias beside it)",
    ),
    Reason(
        "act",
        "the policy takes its action here",
        "what acting is expected to cost, with what is not identified at its worst, is at most the cost of deferring",
        "take the action; keep the monitor running",
    ),
    Reason(
        "defer",
        "the policy does not act here",
        "acting could cost more than deferring, or nothing is known; the reason code says which",
        "hand the case to what deferring means in your system (a person, a default), and log it",
    ),
    Reason(
        "escalate",
        "one more label is worth more than it costs before deciding",
        "the label can change the decision, and saves more than it costs on average",
        "ask for that comparison, then decide",
    ),
    Reason(
        "fallback",
        "the declared fallback action is taken",
        "no action is certain to improve on it",
        "take the fallback; collect the comparisons that could change this",
    ),
    Reason(
        "data",
        "comparisons join the two items, so the data themselves fix the contrast",
        "another prior or another form of the model moves it only within its standard error",
        "use the estimate with its interval",
    ),
    Reason(
        "structure",
        "no comparison joins the items; the model (linearity, shared parts, the link) fixes the contrast",
        "the number is as good as the assumption, which this table cannot test there",
        "name the assumption beside the number, and test it with a few comparisons there",
    ),
    Reason(
        "prior",
        "neither data nor structure fix the contrast: what is printed is the prior",
        "it would not change with any number of further answers of the same kind",
        "use the bound instead, collect what would join the items, or defer",
    ),
    Reason(
        "identified",
        "comparisons fix the contrast, up to sampling error",
        "it is a statement about what could be learned, not about how precisely",
        "read the standard error or interval",
    ),
    Reason(
        "unknown",
        "there is too little to tell: too few draws, no draws of the prior, or too few answers to the same question",
        "it is no pass: a narrow interval may come from data, structure or prior alike",
        "fit with more draws and keep the prior's, or collect what the check names",
    ),
    Reason(
        "by structure, not by data",
        "every contrast is fixed, some of them only by an assumption of the model",
        "those are as good as the assumption, which this table cannot test there",
        "name the assumption beside these numbers (identified_by says which they are), and test it",
    ),
    Reason(
        "moved",
        "the same question gets other answers under another context, by more than chance",
        "pooling the contexts then answers a question that nobody asked",
        "keep the contexts apart, or model them as types",
    ),
    Reason(
        "above",
        "the share of this cell lies above the floor with confidence",
        "the cell is seen often enough to be spoken about",
        "nothing to do here",
    ),
    Reason(
        "below",
        "the share of this cell lies below the floor with confidence",
        "averages over the table hardly see it, so errors there stay hidden",
        "collect in this cell, or leave it out of the declared use",
    ),
    Reason(
        "fine",
        "the number hardly moves when the prior is made a little stronger or weaker",
        "small changes of the prior are covered; a quite different prior is not",
        "nothing to do here",
    ),
    Reason(
        "strong prior, weak data",
        "the number moves with the prior and hardly with the data",
        "what is printed is mostly the prior",
        "state the prior, refit with half and twice its scale, or collect comparisons there",
    ),
    Reason(
        "prior and data may conflict",
        "the number moves with the prior and with the data: they pull in different directions",
        "the result is a compromise that neither side supports",
        "check the scale of the prior against what is known, and refit with a wider one",
    ),
    Reason(
        "unchecked",
        "what this would be held against is not there",
        "it is no pass: the file may be whole or not",
        "hand over what is missing (such as the table), or make the file anew with this version",
    ),
    Reason(
        "not checked",
        "the check does not apply here or would have cost too much",
        "it is no pass",
        "run the check on a part of the table, or read what it would have needed",
    ),
)

VERDICTS: dict[str, Reason] = {reason.code: reason for reason in _VERDICTS}
"""Verdict word -> what it means."""


QUESTIONS = {
    "comparisons": "is there more than one comparison, and was every named item seen",
    "connected": "do comparisons join all items of a state, directly or through others",
    "strongly connected": "does every item or group both win and lose against the rest of its component",
    "identified": "do the answers fix the contrast between any two items seen",
    "joined across": "do the states, taken together, join all items (one scale only if rewards are shared)",
    "every item in every": "was every item seen in every state",
    "observed": "has every named state a comparison",
    "contexts covered": "has every cell of state and context enough comparisons",
    "items shared between contexts": "does every item occur in all contexts",
    "contrasts within a context": "is every contrast fixed within one context, without joining several",
    "contrasts within an environment": "is every contrast fixed within one environment, without joining several",
    "labels per annotator": "do most annotators give enough labels to tell latent types apart",
    "share of every": "does every cell surely have its share of the collection",
    "deployment covered": "is the deployment where something was collected",
    "deployment weights": "could weights carry the table to the deployment",
    "converged": "may the summaries of the fit be trusted, as far as the draws say",
    "mixed": "do the chains agree (R-hat) with enough effective draws",
    "divergences": "did the sampler follow its trajectories without breaking off",
    "types aligned": "do types keep their names over the draws, so that they may be averaged",
    "single mode": "is the best mode well ahead of the second, so that one describes the posterior",
    "traits aligned": "do traits keep their direction over the draws, so that they may be averaged",
    "approximation": "is an approximation of the posterior close enough to be trusted",
}
"""Name of a line of ``check`` or of the convergence verdict -> the question it answers; some names go on or begin with
what a state is."""


def explain(what: Any) -> str:
    """Say in plain words what a code, a flag or a verdict means, why it matters and what to do next.

    Parameters
    ----------
    what : str, verdict, check, result or iterable of these
        A code of ``REASONS``, a verdict word of ``VERDICTS``, the name of a line as in ``QUESTIONS``; a result that
        carries words, a verdict or reason codes (a line of ``check``, a convergence verdict, an answer of a policy, a
        trust verdict); a whole ``check``; or an array or list of codes, each explained once with how often it occurs.

    Returns
    -------
    str
        One paragraph a code or verdict: what was found, the meaning, "Why it matters", "Next".

    Raises
    ------
    ValueError
        If the text is neither a reason code nor a verdict word nor the name of a line; close ones are named.
    TypeError
        If the object carries no verdict and no code.

    Examples
    --------
    >>> explain("no_overlap").split(". ")[1]
    'Why it matters: a weight or estimate there extrapolates; its error is not in the standard error'
    >>> explain(["no_data", "", "no_data"]).split(",")[0]
    'no_data (2 times): no comparison was observed in this cell'
    """
    if isinstance(what, str):
        return _of_code(what, what)
    checks = getattr(what, "checks", None)
    if checks is not None:
        return "\n\n".join(explain(check) for check in checks)
    if hasattr(what, "words") or hasattr(what, "reason") or hasattr(what, "verdict") or hasattr(what, "decision"):
        return _of_result(what)
    if isinstance(what, Iterable):
        return _of_many(_flat(what))
    raise TypeError(
        f"what: a {type(what).__name__} carries neither a verdict nor a reason code; pass a code, a verdict, a check, "
        "or an array of codes"
    )


def codes_of(result: Any) -> list[str]:
    """Reason codes that a result carries, the most frequent first; none where nothing is undefined."""
    found = getattr(result, "reason", None)
    if found is None:
        return []
    listed = [found] if isinstance(found, str) else _flat(found)
    return [code for code, _ in Counter(str(code) for code in listed).most_common() if code in REASONS]


def _flat(codes: Any) -> list[Any]:
    """Entries of an array, a labelled array, a column or any iterable."""
    values = getattr(codes, "values", codes)
    if callable(values):  # a mapping
        values = values()
    return list(values.ravel().tolist()) if hasattr(values, "ravel") else list(values)


def _of_code(code: str, name: str) -> str:
    known = REASONS.get(code) or VERDICTS.get(code)
    if known is not None:
        return f"{name}: {known.meaning}. Why it matters: {known.why}. Next: {known.next_step}."
    if question := QUESTIONS.get(code) or _varying(code):
        return f"{name}: {question}? Next: read the words of that line; explain(line) says what its answer means."
    close = get_close_matches(code, [*REASONS, *VERDICTS, *QUESTIONS], n=3, cutoff=_ALIKE)
    listed = f"known codes are {sorted(REASONS)}, verdict words {sorted(VERDICTS)}, lines {sorted(QUESTIONS)}"
    raise ValueError(f"code: unknown reason code {code!r}; {f'close: {close}' if close else listed}")


def _varying(name: str) -> str:
    """Question of a line whose name goes on or begins with what a state is, such as "states observed"."""
    begun = [word for word in ("joined across", "every item in every", "share of every") if name.startswith(f"{word} ")]
    return QUESTIONS[begun[0]] if begun else QUESTIONS["observed"] if name.endswith("s observed") else ""


def _of_result(result: Any) -> str:
    """What was found, then what its code means; the result's own next step goes before that of the code."""
    verdict = getattr(result, "verdict", getattr(result, "decision", None))
    said = getattr(result, "words", None)
    word = verdict if isinstance(verdict, str) else None
    parts = [str(said) if said is not None else str(word or type(result).__name__)]
    codes = codes_of(result)
    own = getattr(result, "next_step", None)
    for code in codes:
        known = REASONS[code]
        parts += [f"{code} means: {known.meaning}", f"Why it matters: {known.why}"]
        parts += [] if own else [f"Next: {known.next_step}"]
    if not codes:
        known_word = VERDICTS.get(word if word is not None else "yes" if getattr(result, "ok", False) else "")
        parts += [f"{known_word.code} means: {known_word.meaning}"] if known_word else []
        parts += [f"Why it matters: {known_word.why}"] if known_word else []
        parts += [f"Next: {known_word.next_step}"] if known_word and not own else []
    parts += [f"Next: {own}"] if own else []
    return ". ".join(part.rstrip(".") for part in parts) + "."


def _of_many(values: list[Any]) -> str:
    """Each code once, the most frequent first; verdicts one after another."""
    if all(isinstance(value, str) for value in values):
        counted = Counter(value for value in values if value)
        rows = [_of_code(code, code if n == 1 else f"{code} ({n:,} times)") for code, n in counted.most_common()]
        return "\n\n".join(rows) or "no code: nothing is undefined here."
    return "\n\n".join(explain(value) for value in values)
