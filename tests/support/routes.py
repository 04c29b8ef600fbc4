"""The HTTP routes of the app."""

from __future__ import annotations

from functools import cache

import function_app


@cache
def routes() -> dict[str, str]:
    """Route templates by the names of their functions. The app can be asked for its functions only once."""
    return {
        function.get_function_name(): str(binding["route"])
        for function in function_app.app.get_functions()
        for binding in function.get_dict_repr()["bindings"]
        if binding["type"] == "httpTrigger"
    }
