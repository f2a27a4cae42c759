"""The words of the drawn things: kinds, colours and states, in Chinese and in English.

A label is kind, colour and, for kinds that have any, a state; every part of it can be seen in the picture. The
words are few and short, because the tokenizer of the embedded base is made from them.
"""

from __future__ import annotations

from argusvl.synthetic.writing import Language

Label = tuple[str, ...]
"""Keys of ``TERMS``: kind, colour, and the state where the kind has one."""

_FILLS = ("filled", "hollow", "striped", "checked", "dotted", "graded")

STATES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("disc", "ellipse", "triangle", "square", "rectangle", "hexagon", "star", "cross"), _FILLS
    ),
    **dict.fromkeys(("arrow", "crescent"), ("filled", "hollow")),
    **dict.fromkeys(("bolt", "screw"), ("slotted", "crosshead", "socket")),
    "bracket": ("l_shaped", "t_shaped", "u_shaped"),
    "plate": ("one_hole", "two_holes", "four_holes"),
    "ports": ("empty", "half_full", "full"),
    "tag": ("barcode", "text"),
    "bottle": ("capped", "open"),
    "plain_cell": ("pale_centre", "even", "dark_centre"),
    "nucleate_cell": ("round_nucleus", "lobed_nucleus", "bent_nucleus"),
    **dict.fromkeys(("ring", "bar", "letter", "digit", "gear", "nut", "plug", "dial", "chip", "grille"), ()),
    **dict.fromkeys(("tube", "key", "flower", "leaf", "granule", "rod"), ()),
}
"""Every kind with its states; none where kind and colour say everything."""

_HUES = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown")
COLOURS = (*_HUES, "black", "grey", "white")

TERMS: dict[str, dict[Language, str]] = {
    "disc": {"zh": "圆盘", "en": "disc"},
    "ring": {"zh": "圆环", "en": "ring"},
    "ellipse": {"zh": "椭圆", "en": "ellipse"},
    "triangle": {"zh": "三角形", "en": "triangle"},
    "square": {"zh": "正方形", "en": "square"},
    "rectangle": {"zh": "长方形", "en": "rectangle"},
    "bar": {"zh": "长条", "en": "bar"},
    "hexagon": {"zh": "六角形", "en": "hexagon"},
    "star": {"zh": "星形", "en": "star"},
    "cross": {"zh": "十字", "en": "cross"},
    "arrow": {"zh": "箭头", "en": "arrow"},
    "crescent": {"zh": "月牙", "en": "crescent"},
    "letter": {"zh": "字母", "en": "letter"},
    "digit": {"zh": "数字", "en": "digit"},
    "gear": {"zh": "齿轮", "en": "gear"},
    "bolt": {"zh": "六角螺栓", "en": "bolt"},
    "screw": {"zh": "圆头螺钉", "en": "screw"},
    "nut": {"zh": "螺母", "en": "nut"},
    "bracket": {"zh": "支架", "en": "bracket"},
    "plate": {"zh": "孔板", "en": "plate"},
    "ports": {"zh": "端口排", "en": "row of ports"},
    "plug": {"zh": "插头", "en": "plug"},
    "tag": {"zh": "标牌", "en": "tag"},
    "dial": {"zh": "表盘", "en": "dial"},
    "chip": {"zh": "芯片", "en": "chip"},
    "grille": {"zh": "格栅", "en": "grille"},
    "tube": {"zh": "弯管", "en": "bent tube"},
    "key": {"zh": "钥匙", "en": "key"},
    "flower": {"zh": "花", "en": "flower"},
    "leaf": {"zh": "叶片", "en": "leaf"},
    "bottle": {"zh": "瓶子", "en": "bottle"},
    "plain_cell": {"zh": "无核细胞", "en": "plain cell"},
    "nucleate_cell": {"zh": "有核细胞", "en": "nucleate cell"},
    "granule": {"zh": "颗粒", "en": "granule"},
    "rod": {"zh": "杆菌", "en": "rod"},
    "red": {"zh": "红色", "en": "red"},
    "orange": {"zh": "橙色", "en": "orange"},
    "yellow": {"zh": "黄色", "en": "yellow"},
    "green": {"zh": "绿色", "en": "green"},
    "cyan": {"zh": "青色", "en": "cyan"},
    "blue": {"zh": "蓝色", "en": "blue"},
    "purple": {"zh": "紫色", "en": "purple"},
    "pink": {"zh": "粉色", "en": "pink"},
    "brown": {"zh": "棕色", "en": "brown"},
    "black": {"zh": "黑色", "en": "black"},
    "grey": {"zh": "灰色", "en": "grey"},
    "white": {"zh": "白色", "en": "white"},
    "filled": {"zh": "实心", "en": "filled"},
    "hollow": {"zh": "空心", "en": "hollow"},
    "striped": {"zh": "条纹", "en": "striped"},
    "checked": {"zh": "方格", "en": "checked"},
    "dotted": {"zh": "圆点", "en": "dotted"},
    "graded": {"zh": "渐变", "en": "graded"},
    "slotted": {"zh": "一字槽", "en": "slotted"},
    "crosshead": {"zh": "十字槽", "en": "crosshead"},
    "socket": {"zh": "六角孔", "en": "hex socket"},
    "l_shaped": {"zh": "L形", "en": "L-shaped"},
    "t_shaped": {"zh": "T形", "en": "T-shaped"},
    "u_shaped": {"zh": "U形", "en": "U-shaped"},
    "one_hole": {"zh": "单孔", "en": "one hole"},
    "two_holes": {"zh": "双孔", "en": "two holes"},
    "four_holes": {"zh": "四孔", "en": "four holes"},
    "empty": {"zh": "全空", "en": "unplugged"},
    "half_full": {"zh": "半满", "en": "half plugged"},
    "full": {"zh": "全满", "en": "all plugged"},
    "barcode": {"zh": "条码", "en": "barcode"},
    "text": {"zh": "文字", "en": "text"},
    "capped": {"zh": "有盖", "en": "capped"},
    "open": {"zh": "无盖", "en": "open"},
    "pale_centre": {"zh": "淡心", "en": "pale centre"},
    "even": {"zh": "匀色", "en": "even"},
    "dark_centre": {"zh": "深心", "en": "dark centre"},
    "round_nucleus": {"zh": "圆核", "en": "round nucleus"},
    "lobed_nucleus": {"zh": "分叶核", "en": "lobed nucleus"},
    "bent_nucleus": {"zh": "弯核", "en": "bent nucleus"},
}

TEXTURES = frozenset({"striped", "checked", "dotted", "graded"})
"""States in which a form has a second colour: white, black, or a tint or shade of the first."""

WITHOUT_NEUTRAL = frozenset({"plain_cell", "nucleate_cell", "flower"})
"""Kinds that are made of tints and shades of their colour, which a neutral one has none of."""


def allowed_colours(kind: str, state: str | None) -> tuple[str, ...]:
    """The colours in which a kind and state can be told by its colour.

    Black, grey and white leave open, beside a second neutral colour, which of the two is meant.
    """
    return _HUES if state in TEXTURES or kind in WITHOUT_NEUTRAL else COLOURS


def describe(label: Label, language: Language) -> str:
    """The description of a label, e.g. ``圆盘/红色/空心`` or ``disc/red/hollow``."""
    return "/".join(TERMS[key][language] for key in label)
