"""The optional dependencies of the commands: the extra `explore`."""

from importlib.util import find_spec

from fondant_spec.errors import InvalidArgumentError


def need(command: str, *modules: str) -> None:
    """Make sure that modules can be imported.

    Raises:
        InvalidArgumentError: one of them is not installed.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        msg = (
            f"{command} needs {', '.join(missing)}; install fondant-spec with its extra `explore`."
        )
        raise InvalidArgumentError(msg)
