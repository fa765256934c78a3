"""How far a student is from its teacher: each a mean over samples, zero where they are equal."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional

from ...compiler.errors import CompileError

OutputLoss = Literal["mse", "cosine", "kl", "none"]
LabelLoss = Callable[[list[Tensor], object], Tensor]


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), Hinton et al. 2015.

    Args:
        student: Logits with classes on the last dimension, on dimension 1 where there are four or
            more (images of logits).
        teacher: Like them.
        temperature: T; the factor keeps gradients of one size.
    """
    axis = class_axis(student)
    ours = functional.log_softmax(student.float() / temperature, axis)
    theirs = functional.log_softmax(teacher.float() / temperature, axis)
    return (theirs.exp() * (theirs - ours)).sum(axis).mean() * temperature**2


def squared_error(
    student: Tensor, teacher: Tensor, size: Tensor, importance: Tensor | None = None
) -> Tensor:
    """Mean of (student - teacher)^2, in units of `size`.

    Args:
        student: [N, ...].
        teacher: Like it.
        size: What a mean square of the teacher is, a number that stays the same for all batches.
        importance: Weights [N, T] of the positions of [N, T, D]: they sum to 1 for each sample.
    """
    errors = (student.float() - teacher.float()).square()
    if importance is not None:
        return (errors.mean(2) * importance).sum() / len(errors) / size
    return errors.mean() / size


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine over the last dimension."""
    return 1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1).mean()


def similarities(output: Tensor, anchors: Tensor) -> Tensor:
    """The cosines [N, K] between samples of [N, ...] and anchors, rows of length 1 [K, D]."""
    return directions(output) @ anchors.T


def directions(output: Tensor) -> Tensor:
    """The samples of [N, ...] as rows of length 1, [N, D]."""
    return functional.normalize(output.float().flatten(1), dim=1)


def attention_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of attention maps [N, heads, L, S], MiniLM (Wang et al. 2020).

    Where heads were pruned, the mean over heads is compared.
    """
    if student.shape[1] != teacher.shape[1]:
        student, teacher = student.mean(1), teacher.mean(1)
    tiny = 1e-8
    ratio = teacher.clamp_min(tiny).log() - student.clamp_min(tiny).log()
    return (teacher * ratio).sum(-1).mean()


def cross_entropy(outputs: list[Tensor], labels: object) -> Tensor:
    """Of the first output, with classes on the axis of `divergence`, and integer labels.

    Raises:
        CompileError: The labels are no tensor that fits.
    """
    logits = outputs[0].float().movedim(class_axis(outputs[0]), 1)
    if not isinstance(labels, Tensor) or labels.shape != logits[:, 0].shape:
        shape = list(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
        raise CompileError(
            "cross entropy needs a class for every row of logits",
            got=f"labels {shape} for logits {list(outputs[0].shape)}",
            fix="give (inputs, labels) pairs, or a label_loss of your own",
        )
    return functional.cross_entropy(logits, labels.long())


def class_axis(logits: Tensor) -> int:
    """The dimension on which the classes lie."""
    return 1 if logits.dim() > 3 else -1
