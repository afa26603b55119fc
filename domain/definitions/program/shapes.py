"""What a definition may write where a value or a duration is due."""

from datetime import timedelta
from typing import TypeAlias

from domain.definitions.expressions import Expression, Template

Shape: TypeAlias = Expression | Template
#: A length of time: written out, or computed when it is needed.
Span: TypeAlias = timedelta | Expression
