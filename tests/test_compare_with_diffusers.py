"""How the comparison with diffusers' scripts judges losses; the scripts run only by hand."""

import pytest

from scripts.compare_with_diffusers import Comparison, Losses, main


@pytest.mark.parametrize(("shift", "differs"), [(0.0, False), (0.01, False), (0.1, True)])
def test_means_differ_by_more_than_seeds_make_of_it(shift, differs):
    """By three standard errors of their difference, in either figure."""
    ours = [Losses(1.0 + n / 100, 0.5 + n / 100) for n in range(4)]
    theirs = [one._replace(held_out=one.held_out + shift) for one in ours]
    found = Comparison("lora", 1.1, ours, theirs)
    assert found.differs() == differs
    steps, held_out, untrained = found.lines()
    assert steps.split()[1:] == ["steps", "1.0150", "±", "0.0129", "1.0150", "±", "0.0129", "0.00"]
    assert float(held_out.split()[-1]) == pytest.approx(shift / 0.00913, abs=0.02)
    assert untrained.split() == ["lora", "(untrained)", "1.1000"]


def test_a_checkout_without_the_scripts_is_told(tmp_path, capsys):
    """Before anything is trained."""
    with pytest.raises(SystemExit):
        main(["--checkout", str(tmp_path)])
    assert "has no examples/text_to_image/train_text_to_image.py" in capsys.readouterr().err
