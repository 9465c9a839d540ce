"""The documents' table of process models is complete; each row is held by the test that runs it."""

from matrix import documented
from models import MODELS


def test_the_documents_have_every_model_in_its_order() -> None:
    assert documented() == list(MODELS)
