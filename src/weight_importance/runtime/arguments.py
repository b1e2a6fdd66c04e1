"""A stage's settings as its program is given them: one argument of JSON, whose mistakes are told like any other's."""

import argparse
import json

from weight_importance.runtime.errors import UserError

FORM = (
    """a JSON object such as '{"study": "mine", "seeds": [0, 1]}'; 'snakemake -n -p' shows what the workflow passes"""
)


class Settings(dict):
    """A JSON object, every key of which is needed that is asked for.

    Raises:
        UserError: on reading a key that is not there.
    """

    def __missing__(self, key: str) -> None:
        raise UserError(f"the settings lack '{key}', found: {', '.join(self) or 'nothing'}. Allowed is {FORM}.")


def json_object(text: str) -> Settings:
    """The settings that a command line gives, for ``type=`` of an argument."""
    try:
        found = json.loads(text, object_hook=Settings)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no JSON ({error}); allowed is {FORM}") from error
    if not isinstance(found, Settings):
        raise argparse.ArgumentTypeError(f"'{text}' is no object; allowed is {FORM}")
    return found
