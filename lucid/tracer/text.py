"""The text of formulas: Python expressions, which `lucid.runtime` evaluates where it finds them in a file."""

from __future__ import annotations

from typing import Any

__all__ = ["text_of_real", "text_of_size"]

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "mod": "%", "floordiv": "//"}


def text_of_real(real: Any) -> str:
    """Returns the text of a `Real`, such as ``time/2``."""
    if real.name == "float":
        return f"float({real.operands[0]})"
    parts = [_grouped(x) for x in real.operands]
    return f"-{parts[0]}" if real.name == "neg" else f"{parts[0]}{_SIGNS[real.name]}{parts[1]}"


def text_of_size(size: Any) -> str:
    """Returns the text of a `Size`, such as ``2*time-1`` or ``time//2``."""
    if size.divisor != 1 and (quotient := _quotient(size)) is not None:
        return quotient
    text = ""
    for monomial, coefficient in sorted(size.terms, key=lambda term: (not term[0], -len(term[0]))):
        if not monomial:
            text += f"{coefficient:+d}"
            continue
        factors = [] if abs(coefficient) == 1 else [str(abs(coefficient))]
        # A sign in front binds more tightly than %.
        inside = len(monomial) > 1 or bool(factors) or (coefficient < 0 and not text)
        product = "*".join([*factors, *(_of_atom(atom, inside) for atom in monomial)])
        text += ("-" if coefficient < 0 else "+" if text else "") + product
    if size.divisor == 1:
        return text
    return f"{text}//{size.divisor}" if text.isidentifier() else f"({text})//{size.divisor}"


def _quotient(size: Any) -> str | None:
    """Returns the text of ``n // k`` if it is one."""
    for monomial, _ in size.terms:
        if len(monomial) == 1 and getattr(monomial[0], "name", "") == "mod":
            n, k = monomial[0].operands
            for more in (0, size.divisor - 1):
                if k == size.divisor and (n + more) // k == size:
                    return f"{_grouped(n + more)}//{k}"
    return None


def _of_atom(atom: Any, inside: bool) -> str:
    if type(atom) is str:
        return atom
    if atom.name in ("mod", "floordiv"):
        text = f"{_grouped(atom.operands[0])}{_SIGNS[atom.name]}{_grouped(atom.operands[1])}"
        return f"({text})" if inside else text
    return "?" if atom.name == "unknown" else f"{atom.name}({', '.join(map(str, atom.operands))})"


def _grouped(x: Any) -> str:
    text = str(x)
    return text if text.replace(".", "").isalnum() or text.isidentifier() else f"({text})"
