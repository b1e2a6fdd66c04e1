"""Program settings as one JSON argument, with error messages like other arguments."""

import argparse
import json

from weight_importance.runtime.errors import UserError

FORM = (
    """a JSON object such as '{"study": "mine", "seeds": [0, 1]}'; 'snakemake -n -p' shows what the workflow passes"""
)


class Settings(dict):
    """A JSON object; reading a missing key raises UserError."""

    def __missing__(self, key: str) -> None:
        raise UserError(f"the settings lack '{key}', found: {', '.join(self) or 'nothing'}. Allowed is {FORM}.")


def json_object(text: str) -> Settings:
    """Parse a JSON object; for ``type=`` of ``add_argument``."""
    try:
        value = json.loads(text, object_hook=Settings)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not JSON ({error}); allowed is {FORM}") from error
    if not isinstance(value, Settings):
        raise argparse.ArgumentTypeError(f"'{text}' is not an object; allowed is {FORM}")
    return value
