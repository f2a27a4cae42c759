"""Token sequences of a closed vocabulary as a trie in tensors: what may be written next, for many rows at once.

Built from the very token ids that the caption decoder was trained to write: another split of the same text into
tokens would be a path that the decoder has never learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from argusvl.core.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class LabelTrie:
    """States are beginnings. It ends where a beginning is that of one sequence only.

    From there on nothing is left to decide, so nothing needs to be decoded. The first states are the empty beginnings:
    one for all sequences, or one for each group of them that a choice may be limited to.

    Attributes:
        first: ``[S + 1]``: the edges of state ``s`` are those from ``first[s]`` up to ``first[s + 1]``.
        tokens: ``[E]``, the token of each edge; those of a state are sorted.
        targets: ``[E]``, the state that each edge leads to.
        sequence: ``[S]``, the sequence that a state has decided for; -1 where several are still possible.
        widths: For each step of the decoding the most edges that any state has there; as many as there are steps.
    """

    first: Int[Tensor, " s1"]
    tokens: Int[Tensor, " e"]
    targets: Int[Tensor, " e"]
    sequence: Int[Tensor, " s"]
    widths: tuple[int, ...]

    @classmethod
    def build(
        cls, sequences: Sequence[Sequence[int]], groups: Sequence[Sequence[int]] | None = None
    ) -> LabelTrie:
        """A trie of token sequences, each with its end token. Of two equal ones the first counts.

        ``groups`` are numbers of sequences; group ``g`` is chosen from where decoding starts at state ``g``. One
        group of all where there are none.

        Raises:
            ModelError: A group is empty, or a sequence is the beginning of another of its group: nothing would tell
                that it has ended.
        """
        distinct: dict[tuple[int, ...], int] = {}
        for number, sequence in enumerate(sequences):
            distinct.setdefault(tuple(sequence), number)
        if groups is None:
            groups = [range(len(sequences))]
        # For each state of one length the sequences that begin with it.
        level = [list(dict.fromkeys(tuple(sequences[number]) for number in group)) for group in groups]
        if not all(level):
            raise ModelError("there is no description to choose from", remedy="give at least one label")
        first, tokens, targets, decided, widths = [0], list[int](), list[int](), list[int](), list[int]()
        states = len(level)
        while level:
            depth, following = len(widths), list[list[tuple[int, ...]]]()
            widths.append(0)
            for members in level:
                decided.append(distinct[members[0]] if len(members) == 1 else -1)
                branches: dict[int, list[tuple[int, ...]]] = {}
                for member in members if len(members) > 1 else ():
                    if len(member) == depth:
                        raise ModelError(f"description {distinct[member]} is the beginning of another one")
                    branches.setdefault(member[depth], []).append(member)
                for token in sorted(branches):
                    tokens.append(token)
                    targets.append(states)
                    following.append(branches[token])
                    states += 1
                first.append(len(tokens))
                widths[depth] = max(widths[depth], len(branches))
            level = following
        return cls(
            first=torch.tensor(first),
            tokens=torch.tensor(tokens, dtype=torch.long),
            targets=torch.tensor(targets, dtype=torch.long),
            sequence=torch.tensor(decided),
            widths=tuple(width for width in widths if width),
        )

    @property
    def steps(self) -> int:
        """Tokens after which every row has decided; 0 where there is only one sequence."""
        return len(self.widths)

    def to(self, device: torch.device) -> LabelTrie:
        """The same on another device."""
        parts = ("first", "tokens", "targets", "sequence")
        return replace(self, **{name: getattr(self, name).to(device) for name in parts})

    def advance(
        self, logits: Float[Tensor, "n vocabulary"], states: Int[Tensor, " n"], step: int
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """The likeliest token among those that may follow, for each row, and the state that it leads to.

        A row that has decided keeps its state; the token given for it means nothing. The ``states`` are all ``step``
        tokens long, or decided.
        """
        begin = self.first[states]
        count = self.first[states + 1] - begin
        places = torch.arange(self.widths[step], device=states.device)
        edges = (begin[:, None] + places).clamp(max=len(self.tokens) - 1)  # [N, width]
        scores = logits.gather(1, self.tokens[edges])
        best = scores.masked_fill(places >= count[:, None], -torch.inf).argmax(1)
        # Where a broken model gives every allowed token -inf, the argmax may stand at a place that is none.
        best = torch.minimum(best, (count - 1).clamp(min=0))
        chosen = edges.gather(1, best[:, None])[:, 0]
        return self.tokens[chosen], torch.where(count > 0, self.targets[chosen], states)
