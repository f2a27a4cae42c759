"""Evidence: what was seen of a training, as plain records. Sensors fill it in, checks read it, nothing else joins them.

Everything is optional: a loop that is watched from outside, a run of the engine and the curves of a log know
different things, and a check that lacks what it needs says nothing.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from argus_doctor.errors import ArgusError
from argus_doctor.findings import Finding, finding
from argus_doctor.record.bounded import Course, Ends
from argus_doctor.suspicion import Suspicion


@dataclass(slots=True)
class Step:
    """One optimizer step.

    Attributes:
        number: The first is 1.
        loss: As given; NaN where it was that, ``None`` where there is none.
        rates: The learning rate of each of the optimizer's groups.
        gradient_norm: Over everything that the optimizer trains, as the optimizer met it.
        terms: Loss terms by name.
        wait: Seconds between the end of the last step and the first forward pass of this one.
        seconds: From the end of the last step to the end of this one.
    """

    number: int
    loss: float | None = None
    rates: tuple[float, ...] = ()
    gradient_norm: float | None = None
    terms: dict[str, float] = field(default_factory=dict)
    wait: float = 0.0
    seconds: float = 0.0


SELDOM = 1000
"""Steps after which a training is looked at as seldom as it ever is."""

STARTS = ("other", "zero", "constant", "identical-rows", "default")
"""How a parameter's values may look at the start; ``default``: as PyTorch draws them anew."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is known of one parameter, from the *looks*: the steps that were looked at.

    Attributes:
        name: In the model.
        module: Its module's name.
        kind: Its module's class.
        shape: Its shape.
        requires_grad: Whether it is to train.
        in_optimizer: Whether an optimizer holds it.
        declared_frozen: Whether it was said to be frozen.
        start: One of :data:`STARTS`.
        dtype: Its type.
        looks: At which an optimizer held it and it was to train.
        without_gradient: Looks at which it had none.
        zero_gradient: Looks at which it was zero everywhere.
        got_gradient: Whether a gradient was ever seen at it, whoever holds it.
        first_gradient: Norm of its first gradient; ``None`` where there was none.
        early_gradient: Geometric mean of the norms at the first looks; 0 where none was finite and above 0.
        first_weight: Root mean square of its values at first.
        weight: The same at last.
        updates: Looks at which its update was measured and it changed.
        ratio: Norm of update over norm of weights, geometric mean.
        first_ratio: Of the first three.
        early_ratio: Of the third to the twelfth.
        peak_ratio: The greatest.
        direction: Cosine between update and gradient, mean: below 0 where the optimizer descends.
        unmoved: Looks at which it did not change in spite of a gradient.
        dead_looks: Looks at which its units were counted.
        dead: Share of output units whose gradient is zero, mean from the fifth look on.
        dead_first: Of the first three.
        dead_least: The least from the fifth look on.
        identical_rows: Looks at which it changed and all of its units were the same; asked only where they began so.
        stuck: Share of its values with a gradient that a step did not change, mean.
        stuck_looks: How often that was asked.
        moved_by_others: Whether it changed though no optimizer that is known holds it.
        group: The group of learning rates that it is in, where groups have names.
    """

    name: str
    module: str
    kind: str
    shape: tuple[int, ...]
    requires_grad: bool
    in_optimizer: bool
    declared_frozen: bool = False
    start: str = "other"
    dtype: str = "float32"
    looks: int = 0
    without_gradient: int = 0
    zero_gradient: int = 0
    got_gradient: bool = False
    first_gradient: float | None = None
    early_gradient: float = 0.0
    first_weight: float = 0.0
    weight: float = 0.0
    updates: int = 0
    ratio: float = 0.0
    first_ratio: float = 0.0
    early_ratio: float = 0.0
    peak_ratio: float = 0.0
    direction: float = 0.0
    unmoved: int = 0
    dead_looks: int = 0
    dead: float = 0.0
    dead_first: float = 0.0
    dead_least: float = 1.0
    identical_rows: int = 0
    stuck: float = 0.0
    stuck_looks: int = 0
    moved_by_others: bool = False
    group: str = ""

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(slots=True)
class TensorStatistics:
    """One tensor of a batch at one look.

    Attributes:
        name: Its place in the call or the batch.
        shape: Its shape.
        is_float: Whether it holds floating-point numbers.
        mean: Of all of its values, as the rest.
        std: As above.
        low: The least.
        high: The greatest.
        whole: Whether every value is a whole number.
        rows_alike: Whether all samples are the same.
        not_finite: Share of the samples with a value that is not finite.
        worst_column: For tables, the greatest absolute mean or deviation of a column.
        columns: Of small tables, mean and deviation of each column.
        grid: Of pictures whose values all lie on one grid, as bytes do: its spacing, and how many steps apart the least
            and the greatest value are.
        normalised_next: Whether the layer that is given it normalises it.
    """

    name: str
    shape: tuple[int, ...]
    is_float: bool
    mean: float
    std: float
    low: float
    high: float
    whole: bool
    rows_alike: bool
    not_finite: float
    worst_column: float | None = None
    columns: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    grid: tuple[float, int] | None = None
    normalised_next: bool = False


@dataclass(slots=True)
class Objective:
    """What the gradient of the loss at the model's outputs says of the loss, at one look.

    Attributes:
        step: Of the look.
        output: Of the model's outputs, which.
        integer: Whether the targets that fit are of an integer type.
        cosines: Hypothesis → cosine between its gradient and the one that was seen.
        best: The hypothesis whose cosine is greatest in absolute value.
        classes: Of outputs over classes, how many there are.
        loss: What that hypothesis gives for these outputs and targets.
        chance: What it gives for outputs that do not depend on the inputs.
        output_spread: Deviation of the outputs over the samples, averaged over their dimensions.
        target_spread: The same of the targets, where they are of the same kind.
        explained: Share of each target dimension's variance that the outputs explain.
        offset: In sequences, the distance from a token to the one that its output is trained to give.
        labels_offset: The same of labels that the batch brings, whether the loss uses them or not.
        outputs_are: ``probabilities`` (they add up to 1), ``log-probabilities``, ``shares`` (from 0 to 1), ``cosines``
            (from -1 to 1), ``over-samples`` (those of a class add up to 1 over the samples) or ``any``.
        confidence: Of classes, the mean greatest probability.
        all_alike: Whether the outputs of several samples were the same to the bit.
        exact: Whether the gradient is that of the hypothesis to the digits of its type; weights of samples bend it.
        contested: Whether several passes of the step had gradients that need not have gone into the same weights: what
            one of two adversaries climbs the other descends.
    """

    step: int
    cosines: dict[str, float] = field(default_factory=dict)
    best: str | None = None
    classes: int | None = None
    loss: float | None = None
    chance: float | None = None
    output_spread: float | None = None
    target_spread: float | None = None
    explained: tuple[float, ...] = ()
    offset: int | None = None
    labels_offset: int | None = None
    outputs_are: str = "any"
    confidence: float | None = None
    all_alike: bool = False
    output: str = ""
    integer: bool = False
    exact: bool = False
    contested: bool = False


@dataclass(slots=True)
class Evaluations:
    """Forward passes that no backward pass followed.

    Attributes:
        count: At how many steps there were some.
        in_training_mode: At how many of them dropout or batch normalisation worked as in training.
        first_in_training_mode: The first of those.
        validated_in_training_mode: The same of those that a validation loss was told with.
        single_input: Whether all were given one tensor alone.
        repeated: At how many of them a sample was asked about again: answers are averaged over chance.
        ever_in_evaluation_mode: Whether the model as a whole was ever called in evaluation mode.
        statistics: Of what the first layer was given, as those of training.
        known_share: For each evaluation step, the share of its samples that training has seen (where calls differ, the
            least), and whether a validation loss was told with it.
        same_samples: At how many of them the samples were those of the evaluation before.
        confidence: The mean greatest probability of the outputs, where those may be scores of classes.
        samples: How many the largest evaluation had.
    """

    count: int = 0
    in_training_mode: int = 0
    first_in_training_mode: int = 0
    validated_in_training_mode: int = 0
    single_input: bool = True
    repeated: int = 0
    ever_in_evaluation_mode: bool = False
    statistics: list[list[TensorStatistics]] = field(default_factory=lambda: Ends(24))
    known_share: list[tuple[float, bool]] = field(default_factory=Ends)
    same_samples: int = 0
    confidence: list[float] = field(default_factory=Ends)
    samples: int = 0


@dataclass(frozen=True, slots=True)
class MemorySample:
    """What memory the process took at a step, in MiB; ``None`` where it is not known.

    Attributes:
        step: Its number.
        resident: Of the whole process, as the system counts it.
        tensors: Of all CPU tensors alive; counted only where ``resident`` has risen since the last count.
        allocated: Of the tensors alive on the GPU.
        reserved: What the GPU's allocator holds, tensors and reserve.
    """

    step: int
    resident: float
    tensors: float | None = None
    allocated: float | None = None
    reserved: float | None = None


@dataclass(slots=True)
class NotFinite:
    """The first step whose loss or gradient was not finite.

    Attributes:
        step: Its number.
        what: ``input``, ``forward``, ``loss``, ``backward`` or ``weights``: what was not finite first.
        where: The module or tensor.
        largest: The greatest absolute value of the model's outputs then, where they were finite.
    """

    step: int
    what: str
    where: str
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Pull:
    """What one of several objectives is to what they share.

    Attributes:
        share: Its greatest part of the sum of all objectives' gradient norms in any group of parameters.
        value: Its weighted loss.
    """

    share: float
    value: float


@dataclass(frozen=True, slots=True)
class Stall:
    """A step that took far longer than its neighbours.

    Attributes:
        step: Its number.
        seconds: What it took.
        usual: What its neighbours took.
        part: What took so long: ``data``, ``forward``, ``backward``, …
        of_part: Seconds of that.
    """

    step: int
    seconds: float
    usual: float
    part: str
    of_part: float


@dataclass
class Evidence:
    """All that was seen of one training; it does not grow with the training's length.

    Attributes:
        steps: In order: the first, the last, and between them every so-many-th.
        validations: Step and loss of the evaluations whose loss was told.
        parameters: By name.
        foreign: Parameters that an optimizer holds and the model does not: how many, and how many got a gradient.
        inputs: Statistics of what the first layer was given, by look; where a loop tells them, of each of its inputs.
        labels: How often each class was seen, where targets are classes.
        batch_labels: Entropy of the classes within a batch, by look, in nats, and the batch's size.
        batches_repeated: Steps whose batch was the same as the one before, and steps compared.
        batches_in_order: Steps whose batch was that of the round before, at the same place of it; batches that could
            have been; and how many a round has.
        misspelt: Parameters and modules that carry an attribute which nobody reads and ``requires_grad`` was meant,
            with its name.
        still: Looks in a row, at the end, at which no weight changed by a bit though gradients were there; the step of
            the first; and whether weights had changed before.
        target_correlation: Greatest absolute correlation between an input column and the target, with the column.
        objectives: By look.
        output_shares: Norm of the gradient at each of several outputs, or columns of one, by look.
        distinct: How many different samples training has seen, and how many in all.
        alike_in_batch: Pairs of samples of one batch that are the same, and pairs compared.
        continuous: Whether the model was ever given numbers that are no integers by type.
        fed: Whether a pass with gradients was ever given what another network makes.
        makes_targets: Whether the model returns, beside outputs that a gradient can come back to, others that none can.
        optimizers: How many the loop has.
        reads_backwards: Whether a recurrent layer reads its sequence from both ends.
        by_closure: Whether an optimizer asks for the loss again and again within a step, as L-BFGS does.
        whole_set: Whether each step trains on one and the same tensor, whole: gradient descent on all data.
        stale_gradients: Looks whose gradients were added to those of an earlier step, and looks at which that was seen.
        passes_in_eval_mode: How many steps trained with the whole model in evaluation mode; and the first of them.
        passes_in_training_mode: The same of those in training mode.
        mode_matters: Whether the model has a module that is another in training.
        draws: Whether one of those draws at chance, as dropout does and batch normalisation does not.
        evaluations: Forward passes without a backward pass.
        graded_steps: Steps with a forward pass whose outputs a gradient can come back to.
        backward_steps: Steps at which one came back.
        moved_unstepped: Whether weights changed though no optimizer that is known had made a step.
        declared_frozen: The patterns that were declared frozen.
        frozen_statistics: Parameters and statistics that were declared frozen and changed.
        maximises: Whether an optimizer is told to maximise.
        decay: The greatest share of a weight that weight decay alone takes at a step, of all looks; 0 where it is
            part of a gradient that is scaled anew.
        alive_losses: Losses of earlier steps whose graph is still held, and losses looked at.
        ignored_inputs: Inputs that the outputs were found not to depend on.
        asked_inputs: Inputs that were asked about.
        later_tokens_matter: Whether outputs of a sequence change with what comes after them, where that was asked.
        uncalled: Modules with trainable parameters that no forward pass has called.
        ungraded: Modules with trainable parameters that were only called without gradients, or not at all; with the
            shapes of a sample of those of the model's inputs that they were given.
        graded_inputs: The same shapes of modules that were called with gradients.
        begins_within: Whether one that was called with gradients was given numbers without a gradient that are not the
            model's inputs: what was called without gradients may lead to it.
        not_finite: The first trouble with numbers.
        ranks_differ: The first step at which ranks had other weights, of which, and whether they must be equal.
        rank_scaled: The first step at which ranks' gradients were the same but for a factor, of which ranks, and the
            factor.
        memory: What memory the process took, by step.
        source: Suspicions from the source.
        unmasked: Place and words of attention without a mask in the source; what is wrong only of a model of sequences.
        skipped: Steps that the scaler of mixed precision left out.
        failures: What of the watching itself went wrong, by part.
        figure: The figure that chooses the best checkpoint, by step; greater is better.
        spread: Of an evaluation: how much predictions differ between samples, relative to the truth; by step.
        pulls: How strongly each objective pulls, by name, where that was measured.
        attention: Layer → entropy of its attention over the greatest one possible, as it was measured.
        stalls: Steps that took far longer than their neighbours.
    """

    steps: Course[Step] = field(default_factory=Course)
    validations: list[tuple[int, float]] = field(default_factory=lambda: Ends(256))
    parameters: dict[str, Parameter] = field(default_factory=dict)
    foreign: tuple[int, int] = (0, 0)
    inputs: list[list[TensorStatistics]] = field(default_factory=lambda: Ends(24))
    labels: Counter[int] = field(default_factory=Counter)
    batch_labels: list[tuple[float, int]] = field(default_factory=lambda: Ends(256))
    batches_repeated: tuple[int, int] = (0, 0)
    batches_in_order: tuple[int, int, int] = (0, 0, 0)
    misspelt: dict[str, str] = field(default_factory=dict)
    still: tuple[int, int, bool] = (0, 0, False)
    target_correlation: tuple[float, int] | None = None
    objectives: list[Objective] = field(default_factory=Ends)
    output_shares: list[dict[str, float]] = field(default_factory=Ends)
    distinct: tuple[int, int] = (0, 0)
    alike_in_batch: tuple[int, int] = (0, 0)
    continuous: bool = False
    fed: bool = False
    makes_targets: bool = False
    optimizers: int = 1
    reads_backwards: bool = False
    by_closure: bool = False
    whole_set: bool = False
    stale_gradients: tuple[int, int] = (0, 0)
    passes_in_eval_mode: tuple[int, int] = (0, 0)
    passes_in_training_mode: tuple[int, int] = (0, 0)
    mode_matters: bool = False
    draws: bool = False
    evaluations: Evaluations = field(default_factory=Evaluations)
    graded_steps: int = 0
    backward_steps: int = 0
    moved_unstepped: bool = False
    declared_frozen: tuple[str, ...] = ()
    frozen_statistics: set[str] = field(default_factory=set)
    maximises: bool = False
    decay: float = 0.0
    alive_losses: tuple[int, int] = (0, 0)
    ignored_inputs: set[str] = field(default_factory=set)
    asked_inputs: int = 0
    later_tokens_matter: bool | None = None
    uncalled: set[str] = field(default_factory=set)
    ungraded: dict[str, set[tuple[int, ...]]] = field(default_factory=dict)
    graded_inputs: set[tuple[int, ...]] = field(default_factory=set)
    begins_within: bool = False
    not_finite: NotFinite | None = None
    ranks_differ: tuple[int, str, bool] | None = None
    rank_scaled: tuple[int, str, float] | None = None
    memory: list[MemorySample] = field(default_factory=lambda: Ends(256))
    source: list[Suspicion] = field(default_factory=list)
    unmasked: tuple[str, str] | None = None
    skipped: int = 0
    failures: dict[str, Finding] = field(default_factory=dict)
    figure: list[tuple[int, float]] = field(default_factory=lambda: Ends(256))
    spread: list[tuple[int, float]] = field(default_factory=lambda: Ends(256))
    pulls: list[dict[str, Pull]] = field(default_factory=Ends)
    attention: dict[str, list[float]] = field(default_factory=dict)
    stalls: list[Stall] = field(default_factory=Ends)

    def quietly(self, part: str, do: Callable[[], object]) -> None:
        """Does a part of the watching. A watcher never stops a training: an error becomes a finding."""
        try:  # a context manager would take longer than most of these parts do
            do()
        except Exception as error:  # noqa: BLE001 - as above
            self.failed(part, error)

    def failed(self, part: str, error: Exception) -> None:
        """Takes down what went wrong in a part first; what the user can mend is told without the doctor's insides."""
        if part not in self.failures:
            what, remedy = f"this part of the doctor stopped: {error!r}", None
            if isinstance(error, ArgusError):
                what, remedy = error.what, error.remedy
            self.failures[part] = finding("check-failed", part, what, remedy=remedy)

    @property
    def step(self) -> int:
        """The last step's number."""
        return self.steps[-1].number if len(self.steps) else 0

    def losses(self) -> list[float]:
        """The losses that are known, of the steps that are kept."""
        return [one.loss for one in self.steps if one.loss is not None]

    def training(self) -> list[Parameter]:
        """The parameters that are to train and that an optimizer holds."""
        return [p for p in self.parameters.values() if p.requires_grad and p.in_optimizer]

    def by_output(self) -> dict[str, list[Objective]]:
        """The looks at each of the model's outputs whose objective is known."""
        found: dict[str, list[Objective]] = {}
        for one in self.objectives:
            if one.best is not None:
                found.setdefault(one.output, []).append(one)
        return found

    def every_input(self) -> Iterator[TensorStatistics]:
        """The statistics of all looks at the inputs of training."""
        return itertools.chain.from_iterable(self.inputs)

    def series(self, name: str) -> list[tuple[int, float]]:
        """``(step, value)`` of one of a step's numbers, where it is known."""
        values = ((one.number, getattr(one, name)) for one in self.steps)
        return [(number, value) for number, value in values if value is not None]
