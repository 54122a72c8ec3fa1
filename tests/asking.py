"""A question put to the rules of a decision: one proved version, what is asked of it, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyrack.core.checks import Proved, Rule
from keyrack.core.model import Access, Allowed, Denied, Key, Secret, Tenant


@dataclass(frozen=True)
class Question:
    """Everything that a rule may look at, so that a test can change one part of it."""

    key: Key
    secret: Secret
    access: Access
    at: float
    tenant: Tenant | None
    scopes: tuple[str, ...]
    prefixes: tuple[str, ...]


def ask(rule: Rule, question: Question) -> Denied | None:
    """What one rule says."""
    return rule(proved_by((rule,), question), question.access, question.at)


def first_refusal(rules: Sequence[Rule], question: Question) -> Denied | None:
    """What is told of all that these rules say, or None when all of them let it pass."""
    proved = proved_by(tuple(rules), question)
    decision = proved.check(question.access, question.at)
    assert decision is proved.answer or isinstance(decision, Denied)
    return decision if isinstance(decision, Denied) else None


def proved_by(rules: tuple[Rule, ...], question: Question) -> Proved:
    """The version of a question, which these rules may refuse."""
    return Proved(
        key=question.key,
        tenant=question.tenant,
        prefixes=question.prefixes,
        answer=Allowed(question.key, question.secret, question.scopes),
        scopes=frozenset(question.scopes),
        rules=rules,
        charges=(),
        aged=False,
        free=True,
    )
