import pytest

from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.models import model, model_list


def test_the_list_is_one_page() -> None:
    models = model_list()
    ids = [entry["id"] for entry in models["data"]]
    assert (models["first_id"], models["last_id"], models["has_more"]) == (ids[0], ids[-1], False)


def test_a_model_is_named() -> None:
    assert model("claude-opus-4-6")["display_name"] == "Claude Opus 4.6"


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(ApiError, match="model: gpt-4o") as refused:
        model("gpt-4o")
    assert refused.value.status == 404
