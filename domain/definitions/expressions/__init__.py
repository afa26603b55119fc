"""jq expressions of stored definitions: hostile input, evaluated within counted limits."""

from ..values import Json
from .errors import ExpressionError, FuelExhausted
from .expression import Expression, compile_expression
from .meter import ACTIVATION_FUEL, EXPRESSION_FUEL, Meter
from .template import Template, compile_template, is_expression, split_text, strip_expression

__all__ = [
    "ACTIVATION_FUEL",
    "EXPRESSION_FUEL",
    "Expression",
    "ExpressionError",
    "FuelExhausted",
    "Json",
    "Meter",
    "Template",
    "compile_expression",
    "compile_template",
    "is_expression",
    "split_text",
    "strip_expression",
]
