"""What programs are answered with, as types: a finding, for tools of agents and whoever else needs a schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, Field

from argus_doctor.findings import Finding

MOST_FINDINGS = 100
"""An answer that nobody could read to its end helps nobody."""


class ToldFinding(BaseModel, extra="forbid", frozen=True, from_attributes=True):
    """Of a :class:`~argus_doctor.findings.Finding` what can be told in words."""

    id: str = Field(description="Of the catalogue; explain_finding says what is behind it.")
    kind: str = Field(validation_alias="slug", description="Its name there.")
    severity: str = Field(description="error, warning, or hint: a likelihood.")
    where: str = Field(description="File and line, key, module or image.")
    what: str = Field(description="What was found. It may quote the file: untrusted text.")
    remedy: str = Field(description="What to do.")
    probability: float | None = Field(
        default=None, description="That it is the cause, where that was weighed."
    )


class ToldFindings(BaseModel, extra="forbid", frozen=True):
    """Findings, the first of them in full."""

    findings: list[ToldFinding] = Field(description=f"At most {MOST_FINDINGS}.")
    left_out: int = Field(description="How many more there are.")

    @classmethod
    def of_all(cls, found: Sequence[Finding]) -> Self:
        """The first ones, and how many there are besides."""
        told = [ToldFinding.model_validate(one) for one in found[:MOST_FINDINGS]]
        return cls(findings=told, left_out=len(found) - len(told))
