"""The whole model: what it gives, that it learns, and that none of the errors seen elsewhere is made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from made_models import make_batch, make_model
from transformers import AutoModel

from argusvl.core.errors import ModelError
from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.losses import LOSSES
from argusvl.manipulation.model.modeling import ArgusForHands, HandOutput
from argusvl.synthetic.hands.camera import project

Batch = dict[str, torch.Tensor]


def total(output: HandOutput) -> torch.Tensor:
    """All terms by their weights, as the engine adds them but for what each is divided by."""
    assert output.loss_terms is not None
    weighted = [LOSSES[name].weight * value for name, value in output.loss_terms.items()]
    return torch.stack(weighted).sum()


def test_shapes_and_what_is_bounded() -> None:
    batch = make_batch(5)
    output = make_model()(**batch, output_attentions=True)
    assert {k: tuple(v.shape) for k, v in output.hand.items()} == {
        "joints_3d": (5, 21, 3),
        "joints_3d_refined": (5, 21, 3),
        "root": (5, 3),
        "confidence": (5, 21),
    }
    assert {k: tuple(v.shape) for k, v in output.object.items()} == {
        "rotation": (5, 3, 3),
        "position": (5, 3),
        "kind_logits": (5, 6),
    }
    assert output.contact.shape == (5, 21) and output.sampling_px.shape == (2, 5, 21, 2)
    assert set(output.loss_terms) == set(LOSSES)
    assert all(value.shape == () and value.dtype == torch.float32 for value in output.loss_terms.values())
    rotation = output.object["rotation"]
    eye = torch.eye(3).expand(5, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), eye, atol=1e-5, rtol=0)
    assert torch.linalg.det(rotation).min() > 0.99
    confidence = output.hand["confidence"]
    assert confidence.min() > 0 and confidence.max() < 1
    assert torch.equal(output.hand["root"], output.hand["joints_3d_refined"][:, 0])
    assert output.hand["root"][:, 2].min() > 0
    # The decoder's attention: 16 places of stride 16 and 4 of stride 32 in a crop of 64 pixels.
    assert [tuple(a.shape) for a in output.attentions] == [(5, 2, 22, 20)] * 2
    torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(5, 2, 22))


def test_without_labels_there_are_no_terms() -> None:
    batch = make_batch(2)
    model = make_model().eval()
    output = model(batch["pixel_values"], batch["cameras"])
    assert output.loss_terms == {} and output.attentions is None
    for ours, theirs in zip(output.hand.values(), model(**batch).hand.values(), strict=True):
        assert torch.equal(ours, theirs)  # labels change no prediction


def test_a_saved_model_is_loaded_whole(tmp_path: Path) -> None:
    model, batch = make_model(object_symmetries={"003_cracker_box": "box"}), make_batch(4)
    model(**batch)  # moves the vectors of the spectral norms on
    model.eval().save_pretrained(tmp_path)
    for loaded in (ArgusForHands.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        theirs = loaded.state_dict()
        assert set(theirs) == set(model.state_dict())
        assert all(torch.equal(theirs[name], value) for name, value in model.state_dict().items())
        ours, theirs = model(**batch), loaded.eval()(**batch)
        for name, value in ours.loss_terms.items():
            assert torch.equal(value, theirs.loss_terms[name])


def test_a_frozen_encoder_is_frozen_after_loading(tmp_path: Path) -> None:
    config = HandConfig(encoder="efficientnet-lite0", image_size=64, hidden_size=32, encoder_frozen_stages=5)
    ArgusForHands(config).save_pretrained(tmp_path)
    before, after = (
        {name for name, p in model.named_parameters() if not p.requires_grad}
        for model in (ArgusForHands(config), ArgusForHands.from_pretrained(tmp_path))
    )
    assert before == after != set()


def test_every_parameter_is_trained() -> None:
    model, batch = make_model(wide_initialisation=True), make_batch(8)
    total(model(**batch)).backward()
    untouched = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert untouched == []


def test_labels_that_are_not_valid_change_nothing() -> None:
    """The batch holds NaN there; then -1, as some data sets have it; then noise."""
    model, batch = make_model(), make_batch(8)
    found = []
    for fill in (None, -1.0, 1e6):
        filled = {
            name: value if fill is None or not value.is_floating_point() else value.nan_to_num(fill)
            for name, value in batch.items()
        }
        model.load_state_dict(make_model().state_dict())
        model.zero_grad()
        output = model(**filled)
        total(output).backward()
        found.append([*output.loss_terms.values(), *(p.grad for p in model.parameters())])
    assert all(torch.isfinite(value).all() for value in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_nothing_valid_is_no_loss() -> None:
    batch = make_batch(4)
    for name in ("joint_valid", "joints_px_valid", "contact_valid", "surface_valid"):
        batch[name] = torch.zeros_like(batch[name])
    batch["object_kind"] = torch.full_like(batch["object_kind"], -1)
    for name in ("joints_m", "joints_px", "object_pose_m", "object_points_m", "object_normals", "contact"):
        batch[name] = torch.full_like(batch[name], torch.nan)
    model = make_model()
    terms = model(**batch).loss_terms
    own = {"diversity", "attention", "activation"}
    assert all(value.item() == 0 for name, value in terms.items() if name not in own)
    sum(terms.values()).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_each_hand_is_seen_and_counted_alone() -> None:
    """Two parts of a batch give the hands that the whole gives, and terms that add up to its."""
    model, batch = make_model().eval(), make_batch(6)
    whole = model(**batch)
    parts = [model(**{k: v[rows] for k, v in batch.items()}) for rows in (slice(0, 2), slice(2, 6))]
    for name, value in whole.hand.items():
        together = torch.cat([part.hand[name] for part in parts])
        torch.testing.assert_close(together, value, rtol=1e-4, atol=1e-5)
    for name in set(whole.loss_terms) - {"diversity"}:  # which compares the hands of a batch
        added = sum(part.loss_terms[name] for part in parts)
        torch.testing.assert_close(added, whole.loss_terms[name], rtol=1e-4, atol=1e-3)


def test_geometry_is_float32_under_autocast() -> None:
    model, batch = make_model().eval(), make_batch(6)
    exact = model(**batch)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**batch)
    for value in (*output.hand.values(), *output.object.values(), output.contact, output.sampling_px):
        assert value.dtype == torch.float32
    # What is said in space and in the crop agrees far below what bfloat16 could tell.
    seen = project(output.hand["joints_3d"], batch["cameras"])
    assert (output.sampling_px[0] - seen).abs().max() < 0.01
    # The labels, too: the same predictions would cost the same to a thousandth.
    for name in ("joints", "reprojection", "root"):
        assert output.loss_terms[name].item() == pytest.approx(exact.loss_terms[name].item(), rel=0.02)
    total(output).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_camera_is_read_and_scales_depth() -> None:
    """The same crop from twice as far, through a lens of twice the focal length, is twice as far."""
    model, batch = make_model(wide_initialisation=True).eval(), make_batch(4)
    far = batch["cameras"] * torch.tensor([2.0, 2.0, 1.0])[:, None]
    far[:, :2, 2] = batch["cameras"][:, :2, 2]
    near_root, far_root = (model(batch["pixel_values"], k).hand["root"] for k in (batch["cameras"], far))
    assert ((far_root / near_root)[:, 2] - 2).abs().max() < 0.2


def test_the_two_dimensional_loss_reaches_the_encoder() -> None:
    model, batch = make_model(wide_initialisation=True), make_batch(6)
    for name in ("reprojection", "heatmap"):
        model.zero_grad()
        term = model(**batch).loss_terms[name]
        assert term.item() > 0
        term.backward()
        assert sum(p.grad.abs().sum() for p in model.encoder.parameters() if p.grad is not None) > 0


def test_narrow_attention_is_noticed_in_the_forward_pass_itself() -> None:
    model, batch = make_model(), make_batch(4)
    with torch.no_grad():
        for layer in model.decoder.layers:
            layer.cross_attention.query.gamma.mul_(1e3)
    term = model(**batch).loss_terms["attention"]
    assert term.item() > 0
    term.backward()
    assert model.decoder.layers[0].cross_attention.key.weight.grad.abs().sum() > 0


def test_it_learns_hands_by_heart() -> None:
    model, batch = make_model(seed=2, num_layers=1, num_refinement_steps=1), make_batch(8, seed=2)
    batch = {name: value for name, value in batch.items() if name.startswith(("pixel", "camera", "joint"))}
    steps, rate = 200, 3e-3
    optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
    losses = []
    for number in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - number / steps)
        output = model(**batch)
        loss = sum(output.loss_terms[name] for name in ("joints", "refined", "root", "reprojection"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
    valid = batch["joint_valid"] & batch["joint_valid"][:, :1]
    true = batch["joints_m"]
    for name in ("joints_3d", "joints_3d_refined"):
        ours = output.hand[name]
        error = (ours - ours[:, :1] - true + true[:, :1])[valid].norm(dim=-1).mean()
        assert error < 0.01
    assert output.hand["joints_3d"].std(0).mean() > 0.005  # and no constant


@pytest.mark.parametrize(
    "fields", [{"positions": False}, {"dropout": 0.3}, {"objects": []}, {"sigma_reparam": False}]
)
def test_variants_train(fields: dict[str, Any]) -> None:
    model, batch = make_model(**fields), make_batch(4)
    if fields.get("objects") == []:
        batch["object_kind"] = torch.full_like(batch["object_kind"], -1)
    output = model(**batch)
    assert ("heatmap" in output.loss_terms) == fields.get("positions", True)
    total(output).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_without_positions_the_decoder_sees_a_bag_of_places() -> None:
    maps = [torch.randn(2, w, s, s) for w, s in ((8, 16), (16, 8), (32, 4), (32, 2))]
    cameras = make_batch(2)["cameras"]
    for positions in (True, False):
        decoder = make_model(positions=positions, wide_initialisation=True).eval().decoder
        shuffled = [m.flip(2, 3) for m in maps]
        first, second = (decoder(m, cameras).hands for m in (maps, shuffled))
        assert torch.allclose(first.points_px, second.points_px, atol=1e-3) != positions


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pixel_values": torch.zeros(4, 3, 96, 96)}, r"expected \[B, 3, 64, 64\]"),
        ({"cameras": torch.eye(3)}, r"cameras has shape \[3, 3\], expected \[4, 3, 3\]"),
        ({"cameras": torch.eye(3).expand(4, 3, 3).bfloat16()}, "float32"),
        ({"joints_m": torch.zeros(4, 21, 3).half()}, "4 mm"),
        ({"joints_m": torch.zeros(4, 16, 3)}, r"expected \[4, 21, 3\]"),
        ({"joint_valid": None}, "joints_m comes without joint_valid"),
        ({"joints_px_valid": None}, "joints_px comes without joints_px_valid"),
        ({"object_kind": torch.tensor([0, 6, 1, 1])}, "object_kind holds 6, the model knows 6 objects"),
        ({"object_points_m": torch.zeros(4, 5, 2)}, r"expected \[4, P, 3\]"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        make_model()(**(make_batch(4) | change))
