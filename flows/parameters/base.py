"""What all parameters share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flows.parameters.forms import arrange_form, make_title

TeacherFolder = Annotated[str, Field(description="teacher folder in diffusers format")]
Root = Annotated[str, Field(description="outputs go to ROOT/STAGE/FINGERPRINT")]


class Options(BaseModel):
    """Base of all parameters. Unknown names are errors, so that a misspelt option is not silently ignored."""

    # Fields that are dataclasses are validated alike; their attributes' docstrings are the descriptions.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=arrange_form,
        field_title_generator=make_title,
    )
