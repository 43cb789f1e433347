"""What all parameters share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from flows.parameters.forms import arrange_form, make_title
from storage.secrets import holds_secret

TeacherFolder = Annotated[str, Field(description="folder or URL of the teacher in diffusers format")]
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
        hide_input_in_errors=True,
    )

    @field_validator("*")
    @classmethod
    def _refuse_credentials(cls, value: Any) -> Any:
        """Parameters are kept in Prefect's database and in provenance, so no URL among them may hold a secret."""
        if isinstance(value, str) and holds_secret(value):
            raise ValueError("expected a URL without credentials, found some in it; set them in the environment")
        return value
