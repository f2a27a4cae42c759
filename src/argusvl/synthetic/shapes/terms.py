"""The words of the drawn things, in English and in Chinese.

A name is a few words, and every word says something that can be seen: ``striped disc``, ``card spade 7``. English
names are the keys of all tables; a Chinese name is made word by word. What is not in the table (a letter, a number)
stands for itself. The words are few and short, because the tokenizer of the embedded base is made from them.
"""

from __future__ import annotations

from functools import lru_cache

from argusvl.synthetic.languages import Language

Label = tuple[str, ...]
"""Names in English: kind, colour, and the state where the kind has any."""

COLOURS = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "cyan": "青色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
    "brown": "棕色",
    "black": "黑色",
    "grey": "灰色",
    "white": "白色",
}

CHROMATIC = tuple(colour for colour in COLOURS if colour not in ("black", "grey", "white"))
"""Colours whose tints and shades have the same name."""

_FORMS = {
    "disc": "圆盘",
    "ring": "圆环",
    "ellipse": "椭圆",
    "triangle": "三角形",
    "square": "正方形",
    "rectangle": "长方形",
    "diamond": "菱形",
    "pentagon": "五角形",
    "hexagon": "六角形",
    "octagon": "八角形",
    "star": "星形",
    "cross": "十字",
    "crescent": "月牙",
    "heart": "心形",
    "shield": "盾形",
    "bar": "长条",
    "filled": "实心",
    "hollow": "空心",
    "striped": "条纹",
    "checked": "方格",
    "dotted": "圆点",
    "graded": "渐变",
    "arrow": "箭头",
    "up": "向上",
    "down": "向下",
    "left": "向左",
    "right": "向右",
}

_SYMBOLS = {
    "letter": "字母",
    "small": "小写",
    "digit": "数字",
    "die": "骰子",
    "domino": "骨牌",
    "card": "纸牌",
    "corner": "牌角",
    "suit": "花色",
    "spade": "黑桃",
    "club": "梅花",
    "badge": "徽章",
    "bars": "横条",
    "dots": "点",
    "chevrons": "人字",
    "crosses": "叉",
    "rings": "圈",
    "wedges": "尖角",
    "arcs": "弧",
    "stars": "星",
    "round": "圆",
    "sign": "路牌",
}

_DEVICES = {
    "gear": "齿轮",
    "bolt": "螺栓",
    "screw": "螺钉",
    "nut": "螺母",
    "washer": "垫圈",
    "nail": "钉子",
    "slot": "一字槽",
    "socket": "六角孔",
    "torx": "梅花孔",
    "side": "侧面",
    "long": "长",
    "short": "短",
    "flat": "平头",
    "bracket": "支架",
    "plate": "孔板",
    "ports": "端口排",
    "plugged": "已插",
    "unplugged": "未插",
    "plug": "插头",
    "tag": "标牌",
    "barcode": "条码",
    "text": "文字",
    "dial": "表盘",
    "chip": "芯片",
    "quad": "四边",
    "resistor": "电阻",
    "capacitor": "电容",
    "inductor": "电感",
    "crystal": "晶振",
    "diode": "二极管",
    "lamp": "灯珠",
    "transistor": "三极管",
    "header": "插针",
    "button": "按钮",
    "grille": "格栅",
    "slots": "长孔",
    "tube": "弯管",
}

_HOUSE = {
    "turned": "车件",
    "light": "浅色",
    "dark": "深色",
    "ball": "圆球",
    "cone": "尖锥",
    "crown": "冠",
    "slit": "切口",
    "tower": "塔",
    "horse": "马头",
    "hammer": "锤子",
    "wrench": "扳手",
    "driver": "螺丝刀",
    "pliers": "钳子",
    "scissors": "剪刀",
    "saw": "锯子",
    "key": "钥匙",
    "bottle": "瓶子",
    "slim": "细",
    "stout": "粗",
    "capped": "有盖",
    "open": "无盖",
    "mug": "马克杯",
    "glass": "玻璃杯",
    "goblet": "高脚杯",
    "bowl": "碗",
    "apple": "苹果",
    "pear": "梨",
    "banana": "香蕉",
    "cherry": "樱桃",
    "grapes": "葡萄",
    "berry": "草莓",
    "lemon": "柠檬",
    "flower": "花",
    "leaf": "叶片",
    "oval": "卵形",
    "toothed": "锯齿",
    "lobed": "分裂",
    "needle": "针形",
    "paired": "羽状",
}

_CELLS = {
    "cell": "细胞",
    "pale": "淡心",
    "even": "匀色",
    "deep": "深心",
    "sickle": "镰刀",
    "spiky": "刺状",
    "nucleus": "核",
    "bent": "弯",
    "lobes": "叶",
    "granule": "颗粒",
    "rod": "杆菌",
    "coccus": "球菌",
    "pair": "成对",
    "chain": "成链",
}

WORDS: dict[str, str] = {**COLOURS, **_FORMS, **_SYMBOLS, **_DEVICES, **_HOUSE, **_CELLS}
"""Every word with its Chinese."""


@lru_cache(maxsize=4096)
def translate(name: str, language: Language) -> str:
    """A name in a language, e.g. ``striped disc`` as ``条纹圆盘``."""
    return name if language == "en" else "".join(WORDS.get(word, word) for word in name.split(" "))


def describe(label: Label, language: Language) -> str:
    """The description of a label, e.g. ``条纹圆盘/红色`` or ``striped disc/red``."""
    return "/".join(translate(name, language) for name in label)
