"""Lines that tell of a death, or of its opposite, without being an exception's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from argusvl.doctor.logs.exceptions import Cause


class Grade(IntEnum):
    """How much a sign is the cause itself."""

    HARD = 0  # of the kernel or the scheduler: it stands even after a request to stop
    ROOT = 1
    PEER = 2  # another process may have died first
    ECHO = 3  # an exit code, a summary
    FAINT = 4  # caught, or in a helper's thread


@dataclass(frozen=True, slots=True)
class Sign:
    """A pattern, and what it means; no cause: what the message itself says. ``whole``: prefixes are part of it."""

    cause: Cause | None
    grade: Grade
    pattern: re.Pattern[str]
    whole: bool = False


def _sign(cause: Cause | None, grade: Grade, *patterns: str, whole: bool = False) -> Sign:
    # In any case only where the pattern says so: "Killed" is not "killed".
    scoped = (f"(?i:{one[4:]})" if one.startswith("(?i)") else one for one in patterns)
    return Sign(cause, grade, re.compile("|".join(scoped)), whole)


TROUBLE = re.compile(
    r"error|fail|kill|fault|abort|fatal|signal|exit|nan\b|\binf\b|finit|memory|oom|nccl|died|terminat|interrupt|cancel"
    r"|preempt|restart|resum|requeue|sig[kistbu]|dumped|xid|assert|no module|not found|denied|no such|exception"
    r"|invalid|instruction|evict|watchdog|what\(\)|free\(\)|alloc|corrupt|attempt|smash|exhausted|crash|time limit"
    r"|graceful|double free"
)
"""Small letters of which every line below has some; most lines of a log have none."""

CAUGHT = re.compile(
    r"\b(skip(ping|ped)?|ignor(ing|ed)|retry(ing)?|continu(e|ing)|fall(ing)?[ -]?back|recover(ed"
    r"|ing)?|roll(ed|ing)? back"
    r"|caught|trying \d+|will be (ignored|skipped)|disabl(ed|ing)|non-?fatal|attempt(ing)? loss scale"
    r"|reduc(ing"
    r"|ed)( the)? (loss scale|batch))\b",
    re.IGNORECASE,
)

LAUNCHER = re.compile(
    r"closing signal SIG|forcefully exiting|NCCL (INFO|WARN)|NCCL_\w+=|Exception ignored in"
    r"|^\s*usage:|--[\w-]*oom"
    r"|Killing subprocess \d|destroy_process_group\(\) (was|has) not|TORCH_NCCL_|CUDA_LAUNCH_BLOCKING"
    r"|TORCH_USE_CUDA_DSA"
    r"|Compile with"
)
"""What launchers and libraries say beside it."""

RESTARTED = re.compile(
    r"\bresum(ed|ing)\b.{0,40}\b(from|training|run|at)\b|restart(ing|ed)? (attempt|worker|training"
    r"|the run|from)"
    r"|worker group.{0,60}restart|\brequeue(d|ing)\b|restart_count[=:]\s*[1-9]|attempt "
    r"[2-9]\b.{0,20}(of|/|start)",
    re.IGNORECASE,
)

INTERRUPTED = re.compile(
    r"\bKeyboardInterrupt\b|\bSIGINT\b|DUE TO (TIME LIMIT|PREEMPTION|NODE FAIL)|CANCELLED (AT|by)"
    r"|\bpreempt(ed|ion)\b"
    r"|(received|got|caught)( a)?( termination)? (signal:?|Signals\.)? ?(15|2|SIGTERM|SIGINT|SIGUSR1"
    r"|10)\b|\bSIGTERM\b"
    r"|interrupted by (the )?user|\bevicted\b|time limit (reached|exceeded)|gracefully (stop|shut)",
    re.IGNORECASE,
)

FAREWELL = ("train", "finish", "done", "complet", "stop", "exit", "max_", "final", "epochs")
"""The same of the lines that say that a run ended well."""

ENDED = re.compile(
    r"train_runtime|\b(training|train|run|job|fit|experiment|fine-?tuning)( (run|loop|job|has|is|was"
    r"|of \S+))* ?"
    r"(:|successfully )?(now )?(complete[d.!]*|finished|done|ended|succeeded)\b(?! (epoch|step|with "
    r"(error|fail)))"
    r"|\b(finished|completed|done) (training|fine-?tuning)\b|end of training"
    r"|\.fit` stopped: |max_(epochs|steps)=\d+` reached|^\s*(all )?(done|finished)\s*[.!]*\s*$"
    r"|exit(ed)?( with)?( code| status)?:?=? ?0\b|early stopping (triggered|at|after)|stopping early"
    r"|earlystopping: early"
    r"|\bepochs completed in\b|(total )?training time:? |(job|run|state).{0,20}\bCOMPLETED\b"
    r"|completed successfully"
    r"|(training|run) took \d|saved? (the )?final (model|checkpoint|weights)|final (model|weights"
    r"|checkpoint) saved",
    re.IGNORECASE,
)

SIGNS: tuple[Sign, ...] = (
    # The kernel and who watches over memory.
    _sign(
        "oom_killer",
        Grade.HARD,
        r"[Oo]ut of memory: Kill(ed)? process|oom-kill:|Memory cgroup out of memory|oom_reaper"
        r"|invoked oom-killer",
        r"oom[_-]kill event|OOMKilled|OOM [Kk]illed|[Oo]ut Of Memory$|OUT_OF_MEMORY|(exceeded"
        r"|Exceeded) (step|job|virtual) memory limit",
        r"systemd-oomd.*[Kk]illed|earlyoom|oom-kill'?|due to the node running low on memory"
        r"|TERM_MEMLIMIT|memory limit .*being killed",
        whole=True,
    ),
    _sign("cuda_runtime", Grade.HARD, r"NVRM: Xid|fallen off the bus", whole=True),
    _sign("segfault", Grade.HARD, r"\w+\[\d+\]: segfault at |traps: .*(general protection|trap)", whole=True),
    # The process itself.
    _sign(
        "cuda_runtime",
        Grade.ROOT,
        r"\.cuh?:\d+:.*block: \[.*Assertion|\bAssertion `.*` failed\.?$(?<=failed\.).*thread: \[",
    ),
    _sign("div_zero", Grade.ROOT, r"Floating point exception"),
    _sign(
        "oom_killer",
        Grade.ECHO,
        r"^Killed\b(?!:? \d)|\bKilled\s{2,}\S|exit(ed|s)?( with)?( exit| return)?[ _]?(code|status)[ "
        r":=(]*137\b"
        r"|\b137\b.{0,20}SIGKILL",
        r"exitcode\s*:\s*-9\b|[Ss]ignal:? ?9\b|\(?SIGKILL\)?|Signals\.SIGKILL|exit code -9\b"
        r"|return(ed)?[ _]?code[ =:]*-9\b|: Killed$",
        whole=True,
    ),
    _sign(
        "segfault",
        Grade.ROOT,
        r"[Ss]egmentation fault|Fatal Python error: (Segmentation|Bus|Illegal)|Signal: Segmentation "
        r"fault|Bus error \(core|^Bus error",
        r"Illegal instruction|double free or corruption|free\(\): invalid|malloc(_consolidate)?\(\): "
        r"|corrupted (size|double)",
        r"munmap_chunk\(\): invalid|Fatal glibc error|\*\*\* stack smashing",
        whole=True,
    ),
    _sign(
        "segfault",
        Grade.ECHO,
        r"SIGSEGV|exitcode\s*:\s*-11\b|[Ss]ignal:? ?11\b|exit(ed|s)?( with)?( exit| return)?[ "
        r"_]?(code|status)[ :=(]*139\b|exit code -11\b|return(ed)?[ _]?code[ =:]*-11\b|SIGBUS|SIGILL"
        r"|exitcode\s*:\s*-7\b",
        whole=True,
    ),
    # Stopped because of the loss.
    _sign(
        "nan_loss",
        Grade.ROOT,
        r"(?i)(?=.*\b(loss|gradient|grad|metric|val_loss)\w*\b)(?=.*\b(nan|inf|infinite|non-?finite"
        r"|not finite|infinity|invalid loss)\b)(?=.*\b(stop|abort|terminat|exit|halt|quit|kill|rais"
        r"|fail|diverged|cannot continue)\w*)(?!.*\b(skip|ignor|continu|recover|roll|retry|reload|without))",
        r"(?i)invalid loss, terminating|minimum loss scale reached|loss scale already at minimum",
        r"(?i)^(fatal|error|critical):? .*\bloss\b.*\b(nan|inf|infinite|not finite|non-finite)\b(?!.*\bskip)",
    ),
    # What C++ says before it aborts, and NCCL's watchdog.
    _sign(
        "cuda_oom",
        Grade.ROOT,
        r"CUDA out of memory\. Tried|OutOfMemoryError: CUDA|RESOURCE_EXHAUSTED: Out of memory",
    ),
    _sign(
        "cuda_runtime",
        Grade.ROOT,
        r"CUDA error: (?!out of memory)|uncorrectable ECC|what\(\):.*(CUDA|cuda) ?(kernel|error)",
    ),
    _sign(
        "nccl",
        Grade.PEER,
        r"collective operation timeout|NCCL (error|watchdog|communicator was aborted)|Watchdog caught"
        r"|watchdog got stuck"
        r"|DistBackendError",
        r"To avoid data inconsistency, we are taking the entire process down|ncclSystemError"
        r"|ncclUnhandledCudaError|ncclInternalError|ncclRemoteError|ProcessGroupNCCL.*(terminat|timed "
        r"out|Timeout)|Some NCCL operations have failed or timed out|Connection closed by remote peer"
        r"|failed to recv, got 0 bytes",
    ),
    _sign(None, Grade.ROOT, r"^\s*what\(\):\s|^terminate called after"),
    _sign("assertion", Grade.ROOT, r":\d+: .*Assertion [`'].*' failed"),
    # The shell and the interpreter.
    _sign(
        "missing_module",
        Grade.ROOT,
        r"(python[\d.]*|/python\S*): No module named|error while loading shared libraries",
    ),
    _sign(
        "file_not_found",
        Grade.ROOT,
        r"(can't open file|cannot open|sh: .*|^\S*: line \d+: .*)\S*.*No such file or directory",
    ),
    _sign("permission", Grade.ROOT, r"(sh: .*|^\S+: line \d+: .*|^\S*python\S*: .*)Permission denied"),
    _sign(
        "traceback",
        Grade.ROOT,
        r"^[\w./-]+\.py: error: |^Error: (Invalid value|No such option|Missing option|Got unexpected)",
    ),
    # Told in a program's own words.
    _sign(
        None,
        Grade.ROOT,
        r"(?i)^\W*(fatal|(training|run|job|worker|process|trial)\b.{0,30}\b(failed|crashed|died"
        r"|aborted)|error|(unhandled |uncaught )?exception|aborting|crash)\b.{0,60}?[:!]",
    ),
    _sign("traceback", Grade.ECHO, r"(?i)^\W*(training|run|job|trial) (has )?(failed|crashed)\b"),
)
"""In order: the first that matches is what a line means."""
