"""Chat models' refusals, and captions that begin like one."""

import pytest

from image_toolkit.models.captioning.refusals import refuses


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't describe people.",
        "I\u2019m sorry, but no",
        "I am sorry",
        "Im sorry, no",
        "I am very sorry, but no",
        "I'm unable to describe people",
        "I'm not able to see it",
        "I can\u2019t see it",
        "I cannot help with that",
        "I can not see any image here.",
        "  I\ncan not",
        "I could not make out what it is",
        "I won't be able to describe this person",
        "I must decline to describe this",
        "I apologize, but no",
        "I don't see an image in our conversation",
        "I do not see any attached image.",
        "I see no image",
        "I don't have the ability to view images",
        "I'm an AI assistant, so no",
        "As an AI model, I do not see",
        "As a large language model, I'm blind",
        "As an AI that was made for texts, I have no eyes",
        "Sorry, I can't help with that",
        "Sorry, but I cannot identify people.",
        "Sorry, but as an AI language model, I am blind",
        "Sorry! I am unable to describe it.",
        "Unfortunately, I cannot see it.",
        "Unfortunately I don't see an image",
        "I'm afraid I can't do that.",
        "It seems that I can't see the picture",
        "It looks like I didn't receive an image.",
        "My apologies, but I'm not able to",
    ],
)
def test_refusals_are_found(text):
    """Whatever they begin with, they go on in the first person."""
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a sorry sight of a house",
        "Sorry, we are closed, says a sign",
        "sorry",
        "Sorry I missed you, says a note on a door",
        "Unfortunately, the cake has fallen",
        "It looks like a cat",
        "As an airplane lands",
        "as an AI artwork of a cat",
        "As an AI robot paints, a child looks on",
        "As a language teacher points to the board",
        "A language model in a bikini",
        "I love New York, printed on a shirt",
        "I can",
        "I canter across a field",
        "i don't see the world like you do",
        "iPhone on a table, I cannot",
        "a cat that says I can't",
        "Ice cream",
    ],
)
def test_captions_are_no_refusals(text):
    """A sign may be sorry, and a picture one of an AI."""
    assert not refuses(text)
