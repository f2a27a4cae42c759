"""The words of the BBU room: every label, in Chinese and in English."""

from __future__ import annotations

from argusvl.synthetic.writing import Language

Label = tuple[str, ...]
"""A path of keys of ``TERMS``: type, then kind or maker, then state."""

TERMS: dict[str, dict[Language, str]] = {
    "connection": {"zh": "螺丝连接点", "en": "screw connection"},
    "bbu_screw": {"zh": "BBU安装螺丝", "en": "BBU mounting screw"},
    "cpri": {"zh": "CPRI光缆和BBU连接点", "en": "CPRI fibre to BBU"},
    "ground_bar_screw": {"zh": "地排处螺丝", "en": "ground bar screw"},
    "odf": {"zh": "BBU尾纤和ODF连接点", "en": "BBU pigtail to ODF"},
    "cabinet_ground": {"zh": "BBU接地线机柜接地端", "en": "BBU ground wire at cabinet"},
    "correct": {"zh": "连接正确", "en": "correct"},
    "loose": {"zh": "未拧紧", "en": "loose"},
    "unseated": {"zh": "未插紧", "en": "not seated"},
    "bbu": {"zh": "bbu基带处理单元", "en": "BBU"},
    "huawei": {"zh": "华为", "en": "Huawei"},
    "zte": {"zh": "中兴", "en": "ZTE"},
    "ericsson": {"zh": "爱立信", "en": "Ericsson"},
    "baffle": {"zh": "挡风板", "en": "baffle"},
    "installed": {"zh": "已安装", "en": "installed"},
    "missing": {"zh": "未安装", "en": "not installed"},
    "sticker": {"zh": "标签贴纸", "en": "label sticker"},
    "space": {"zh": "机柜空间", "en": "cabinet space"},
    "full": {"zh": "满载", "en": "full"},
    "vacant": {"zh": "非满载", "en": "not full"},
}

MAKERS = ("huawei", "zte", "ericsson")

_SCREWED, _PLUGGED = ("bbu_screw", "ground_bar_screw", "cabinet_ground"), ("cpri", "odf")

LABELS: tuple[Label, ...] = (
    *(("connection", kind, state) for kind in _SCREWED for state in ("correct", "loose")),
    *(("connection", kind, state) for kind in _PLUGGED for state in ("correct", "unseated")),
    *(("bbu", maker) for maker in MAKERS),
    *(("baffle", state) for state in ("installed", "missing")),
    ("sticker",),
    *(("space", state) for state in ("full", "vacant")),
)


def describe(label: Label, language: Language) -> str:
    """The description of a label, e.g. ``螺丝连接点/BBU安装螺丝/连接正确``."""
    return "/".join(TERMS[key][language] for key in label)
