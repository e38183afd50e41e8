"""What all sections of the settings share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen section; a key that does not exist is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
