"""`schema gateway|vault`: what editors need to complete and check the two files."""

from typing import Annotated

import typer

from gateway.settings.json_schema import FILES, schema_text


def _file(name: str) -> str:
    if name not in FILES:
        raise typer.BadParameter(f"one of {', '.join(FILES)} is expected")
    return name


def schema(
    file: Annotated[
        str, typer.Argument(metavar="gateway|vault", parser=_file, help="Which of the two files.")
    ],
) -> None:
    """Print the JSON Schema of gateway.toml or vault.toml.

    Editors with TOML support read it from the line `#:schema FILE` at the top of the file.
    """
    typer.echo(schema_text(file), nl=False)
