"""A step's arguments name its secrets, and never contain them."""

import pytest

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidArgumentError, StorageError
from fondant_spec.pipeline import Pipeline
from fondant_spec.spec.arguments import Argument, from_words
from fondant_spec.spec.secret_arguments import opened
from tests.small import COMPONENTS

PROXY = Argument("proxy", "str", by_reference=True)


@pytest.mark.parametrize("value", ["http://proxy:3128", "env:MY_PROXY", "file:/run/secrets/proxy"])
def test_what_an_argument_may_say(value):
    """An address that signs in nowhere, and the name of a variable or file, pass as they are."""
    assert PROXY.check(value) == value


def test_a_secret_is_no_argument():
    """It is refused by its argument's name, with the way to name it, and is not in the message."""
    with pytest.raises(InvalidArgumentError) as caught:
        from_words({"proxy": PROXY}, {"proxy": "http://me:hush-hush@proxy"}, "download")
    assert str(caught.value) == (
        "download: argument 'proxy' holds a password or token, and others can read arguments in "
        "lists of processes and in manifests: name where it is instead: env:NAME, a variable of "
        "the step's environment, or file:/PATH."
    )


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("str", "s3://key:hush-hush@bucket/x"),
        ("list", ["a", "https://host/x?access_token=hush-hush"]),
        ("dict", {"a": {"b": ["https://hush-hush@host"]}}),
        ("dict", {"https://hush-hush@host": 1}),
        ("list", [{"a": {"https://host/x?access_token=hush-hush": None}}]),
    ],
)
def test_no_argument_holds_a_secret(type_, value):
    """Whatever an argument is declared as, a URL in it signs in nowhere."""
    with pytest.raises(InvalidArgumentError, match="leave it out") as caught:
        Argument("any", type_).check(value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("value", ["env:", "env:NO SUCH", "file:relative", "file:"])
def test_a_reference_that_names_nothing(value):
    """A reference is a variable's name or an absolute path."""
    with pytest.raises(InvalidArgumentError, match=r"must be env:NAME or file:/PATH, not "):
        PROXY.check(value)


def test_a_secret_comes_from_where_the_step_runs(tmp_path, monkeypatch):
    """What is not there is told by the argument's name."""
    file = tmp_path / "secret"
    file.write_text("hush-hush\n")
    monkeypatch.setenv("MINE", "hush")
    monkeypatch.delenv("YOURS", raising=False)
    assert opened("proxy", "env:MINE") == "hush"
    assert opened("proxy", f"file:{file}") == "hush-hush"
    assert opened("proxy", "http://proxy") == "http://proxy"
    file.write_text("\n")
    wrong = {
        "env:YOURS": "it is not set where the step runs",
        f"file:{file}": "it is empty",
        f"file:{tmp_path}/none": "it cannot be read (No such file or directory)",
    }
    for reference, why in wrong.items():
        with pytest.raises(InvalidArgumentError) as caught:
            opened("proxy", reference)
        assert str(caught.value) == f"argument 'proxy' is {reference}, but {why}."


def test_no_secret_is_in_a_base_path():
    """It would be in every manifest."""
    with pytest.raises(StorageError, match=r"s3://\*\*\*@bucket: .* give it in the environment"):
        Pipeline("small", "s3://key:hush-hush@bucket")
    assert storage.normalize("abfs://container@account.dfs.core.windows.net/x/")


def test_a_step_names_its_secret():
    """The plan's argument vector, and what its cache key is made of, hold no secret."""
    pipeline = Pipeline("small", "base")
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "leak", after=numbers, arguments={"secret": "env:MINE"})
    plan = pipeline.plan("run")
    assert "env:MINE" in plan.argv(plan.steps[1], ["m"], "o")
    assert "secret" not in plan.steps[1].key_parts["arguments"]
