"""Text files in encodings other than UTF-8: which is guessed, which is refused, and the messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from thaw.search.settings.config import load_config
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.data.encodings import Unreadable, decode_text
from thaw.trainables.data.reading import Reading

WESTERN = (
    *("café", "Hündin", "été", "größe", "Škoda", "cœur", "Île-de-France", "Å", "Ærø", "¿Qué?", "l’été", "ÉTÉ", "él"),
    *("“Rüde” – alt", "20 µm", "5×5", "m²", "10 °C", "El Niño", "Ça", "Øl", "© Müller", "§ 5", "Œuvre", "à côté"),
    *("São Paulo", "€ 5", "«À propos»", "n° 5", "½ Liter", "A–B", "don’t", "„Haus“"),
)
ELSEWHERE = [
    *(("cp932", words) for words in ("猫 犬", "ネコ", "山 川", "東京", "鳥", "ｶﾒﾗ", "男 女", "良品 不良", "正常 異常")),
    *(("gb18030", words) for words in ("猫 狗", "汽车", "正常 异常", "男 女")),
    *(("big5", words) for words in ("貓 狗", "正常", "男 女")),
    *(("cp949", words) for words in ("고양이 개", "정상 비정상", "남 여")),
    *(("euc_jp", words) for words in ("猫 犬", "ネコ")),
    *(("cp1251", "кошка собака"), ("cp1253", "γάτα"), ("cp1250", "jabłko"), ("mac_roman", "café"), ("cp850", "Hündin")),
]


def labels(*words: str) -> str:
    return "".join(f"a{number}.jpg,{word}\n" for number, word in enumerate(words))


@pytest.mark.parametrize("word", WESTERN)
def test_western_text_is_read_with_a_note(word: str) -> None:
    text, note = decode_text(labels(word).encode("cp1252"))
    assert text == labels(word) and note is not None and "is read as Windows-1252" in note


@pytest.mark.parametrize(("encoding", "words"), ELSEWHERE)
def test_other_text_is_refused_with_suggestions(encoding: str, words: str) -> None:
    """It is never read in a wrong encoding; the error suggests the right one, with one of the words."""
    with pytest.raises(Unreadable, match="data.encoding") as refused:
        decode_text(labels(*words.split()).encode(encoding))
    assert f"{encoding} (" in str(refused.value)
    assert any(repr(word) in str(refused.value) for word in words.split())


@pytest.mark.parametrize(
    ("name", "text"), [("labels.csv", labels("猫", "犬")), ("labels.txt", "a.jpg\t猫\nb.jpg\t犬\n")]
)
def test_an_encoding_that_is_named_is_used(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("cp932"))
    dataset = read_dataset(tmp_path, tmp_path / name, reading=Reading(encoding="cp932"))
    assert set(dataset.classes) == {"猫", "犬"} and not any("Windows" in note for note in dataset.notes)
    for other in ("ascii", "punycode", "idna"):
        with pytest.raises(ConfigError, match=rf"is not {other}: line 1 cannot be decoded; correct data\.encoding"):
            read_dataset(tmp_path, tmp_path / name, reading=Reading(encoding=other))


def test_class_names_and_coco_give_notes_too(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes("0 Hündin\n1 Rüde\n".encode("cp1252"))
    (tmp_path / "labels.csv").write_text("a.jpg,0\nb.jpg,1\n")
    dataset = read_dataset(tmp_path, tmp_path / "labels.csv", classes=tmp_path / "names.txt")
    assert dataset.classes == ("Hündin", "Rüde") and "names.txt is not UTF-8" in " ".join(dataset.notes)
    images = ", ".join(f'{{"id": {number}, "file_name": "{number}.jpg"}}' for number in (1, 2))
    objects = ", ".join(f'{{"image_id": {number}, "category_id": {number}}}' for number in (1, 2))
    names = ", ".join(f'{{"id": {number}, "name": "{name}"}}' for number, name in ((1, "Hündin"), (2, "Kater")))
    coco = f'{{"images": [{images}], "annotations": [{objects}], "categories": [{names}]}}'
    (tmp_path / "coco.json").write_bytes(coco.encode("cp1252"))
    assert "coco.json is not UTF-8" in " ".join(read_dataset(tmp_path, tmp_path / "coco.json").notes)


def test_the_search_file_must_name_a_known_encoding(tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    text = "name: words\ndata: {images: ., encoding: NAME}\nweights: none\ntraining: {architecture: convnet}\n"
    text += "space: {learning_rate: [0.001, 0.01]}\n"
    file.write_text(text.replace("NAME", "cp932"))
    assert load_config(file).data.encoding == "cp932"
    file.write_text(text.replace("NAME", "klingon"))
    with pytest.raises(ConfigError, match="an encoding that Python supports"):
        load_config(file)
