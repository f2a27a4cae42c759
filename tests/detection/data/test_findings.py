from __future__ import annotations

from argusvl.detection.data.findings import finding, show_findings


def test_the_text_names_the_image_where_the_place_does_not() -> None:
    in_one_file = finding("size-mismatch", "instances.json", "300×400", image="images/2.jpg")
    assert str(in_one_file).startswith("instances.json, images/2.jpg: size-mismatch: 300×400\n")
    said = finding("missing-image", "instances.json", "there is no image images/2.jpg", image="images/2.jpg")
    assert str(said).startswith("instances.json: missing-image")
    of_its_name = finding("box-inverted", "Annotations/a.xml:4", "inverted", image="a.jpg")
    assert str(of_its_name).startswith("Annotations/a.xml:4: box-inverted")
    line = finding("box-duplicate", "train.jsonl:3", "nearly", image="images/2.jpg")
    assert str(line).startswith("train.jsonl:3, images/2.jpg: box-duplicate")


def test_errors_are_shown_before_warnings_and_the_rest_is_counted() -> None:
    many = [finding("box-duplicate", f"x:{k}", "w") for k in range(30)] + [finding("box-inverted", "y", "e")]
    shown = show_findings(many, most=5).splitlines()
    assert shown[0].startswith("y: box-inverted") and shown[-1] == "… and 26 more"
