"""What the model is asked, in each language, and in which one. A new language is one more entry of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from argusvl.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Prompts:
    """The fixed texts of a conversation.

    Attributes:
        system: What the assistant is.
        find: What a user turn asks for after its images.
        several: Added where a turn has more than one image; ``{count}`` is their number.
    """

    system: str
    find: str
    several: str

    def user(self, num_images: int) -> str:
        """The text of a user turn with so many images."""
        return self.find if num_images <= 1 else self.find + self.several.format(count=num_images)


PROMPTS: dict[str, Prompts] = {
    "zh": Prompts(
        system="你是一名图像检测助手，负责找出图片中的每个物体并准确描述。",
        find="请找出图片中的所有物体，以JSON列表输出每个物体的边界框和描述。",
        several="共有{count}张图片，请用image字段注明物体所在图片的序号，从0开始。",
    ),
    "en": Prompts(
        system="You are an image inspection assistant. You find every object in a picture and describe it precisely.",
        find="Find all objects in the picture. Write a JSON list with the bounding box and the description of each.",
        several=" There are {count} pictures: name the picture of each object in the field image, counting from 0.",
    ),
}


def prompts_for(language: str) -> Prompts:
    """The prompts of a language such as ``zh``, ``zh-CN`` or ``en``; English where there are none.

    Raises:
        ConfigError: The language is empty.
    """
    if not language.strip():
        raise ConfigError("the prompt's language is empty", where="prompt_language", remedy="write zh or en")
    primary = language.replace("_", "-").split("-", 1)[0].lower()
    return PROMPTS.get(primary, PROMPTS["en"])


_CHINESE = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x32000))
_CHINESE_FROM = 0.2
"""Share of the letters: names and codes in Chinese descriptions are often Latin, the other way round it is rare."""


def prompt_language(texts: Mapping[str, int]) -> str:
    """The language to ask in, by the script of the descriptions, each with how often it stands: ``zh`` or ``en``."""
    letters = chinese = 0
    for text, count in texts.items():
        for character in text:
            if character.isalpha():
                letters += count
                chinese += count * any(ord(character) in block for block in _CHINESE)
    return "zh" if letters and chinese / letters >= _CHINESE_FROM else "en"
