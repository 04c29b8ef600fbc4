"""The host matches routes as ASP.NET Core's router does for the Functions host, not as web frameworks usually do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.routing import Router
from devhost.worker import Function


def function(name: str, route: str | None = None, *methods: str) -> Function:
    trigger = {"type": "httpTrigger", "name": "req", "route": route, "methods": list(methods) or None}
    return Function(name, name, trigger, (trigger,))


def match(router: Router, path: str, method: str = "GET") -> tuple[str, dict[str, str]] | None:
    found = router.match(method, path)
    return (found.function.name, dict(found.parameters)) if found else None


def test_first_function_by_name_wins_even_over_a_literal() -> None:
    router = Router([function("b", "studies/latest"), function("a", "studies/{study}")], "")
    assert match(router, "/studies/latest") == ("a", {"study": "latest"})


def test_names_are_compared_by_upper_case() -> None:
    # In ASCII '_' stands before the small letters and behind the capital ones.
    router = Router([function("study_x", "{a}"), function("studyb", "{b}"), function("StudyA", "{c}")], "")
    assert match(router, "/1") == ("StudyA", {"c": "1"})
    router = Router([function("study_x", "{a}"), function("studyb", "{b}")], "")
    assert match(router, "/1") == ("studyb", {"b": "1"})


@given(st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,5}", fullmatch=True), unique_by=str.upper, min_size=1))
def test_order_of_registration_does_not_matter(names: list[str]) -> None:
    found = match(Router([function(name, "{x}") for name in names], ""), "/1")
    assert found == (min(names, key=str.upper), {"x": "1"})


def test_method_is_part_of_the_match() -> None:
    router = Router(
        [function("a", "{x}", "post"), function("b", "{y}", "GET", "DELETE"), function("c", "only/{z}")], ""
    )
    assert match(router, "/1", "POST") == ("a", {"x": "1"})
    assert match(router, "/1", "GET") == ("b", {"y": "1"})
    assert match(router, "/1", "PUT") is None
    assert match(router, "/1", "HEAD") is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PROPFIND"])
def test_function_without_methods_takes_all(method: str) -> None:
    assert match(Router([function("a", "x")], ""), "/x", method)


@pytest.mark.parametrize(
    ("prefix", "path"), [("api", "/api/x"), ("", "/x"), ("dicom/v2", "/DICOM/v2/X"), ("/api/", "/api/x/")]
)
def test_route_prefix(prefix: str, path: str) -> None:
    assert match(Router([function("a", "x")], prefix), path) == ("a", {})
    assert match(Router([function("a", "x")], prefix), f"/more{path}") is None


def test_function_without_route_is_found_by_its_name() -> None:
    assert match(Router([function("Health")], "api"), "/api/health") == ("Health", {})


def test_functions_with_other_triggers_have_no_route() -> None:
    timer = Function("a", "a", {"type": "timerTrigger", "name": "t"}, ())
    assert match(Router([timer], ""), "/a") is None


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("a/{x}", "/a/1", {"x": "1"}),
        ("a/{x}", "/A/1/", {"x": "1"}),
        ("a/{x}", "/a/1//", None),
        ("a/{x}", "/a//", None),
        ("a/{x}", "/a", None),
        ("a/{x}", "/a/1/2", None),
        ("a/{x?}", "/a", {}),
        ("a/{x?}", "/a/1", {"x": "1"}),
        ("{x?}", "/", {}),
        ("a/{*rest}", "/a", {}),
        ("a/{*rest}", "/a/", {}),
        ("a/{*rest}", "/a/1/2", {"rest": "1/2"}),
        ("a/{*rest}", "/a/1/2/", {"rest": "1/2/"}),
        ("a/{*rest}", "/a/1%2F2%20", {"rest": "1%2F2 "}),
        ("a/{*rest}", "/ab", None),
        ("{**rest}", "/a/b", {"rest": "a/b"}),
        ("a/{name}.{ext}", "/a/b.c.d", {"name": "b.c", "ext": "d"}),
        ("a.b", "/axb", None),
        ("studies/$bulkUpdate", "/studies/$bulkupdate", {}),
        ("studies/$bulkUpdate", "/studies/%24bulkUpdate", {}),
        ("a/{x}", "/a/M%C3%BCller%20", {"x": "Müller "}),
        ("a/{x}", "/a/1%2F2%2f3", {"x": "1%2F2%2F3"}),
        ("a/{x}", "/a/%252F", {"x": "%2F"}),
        ("a/{x}", "/a/a%0Ab", {"x": "a\nb"}),
    ],
)
def test_template(template: str, path: str, parameters: dict[str, str] | None) -> None:
    expected = None if parameters is None else ("f", parameters)
    assert match(Router([function("f", template)], ""), path) == expected


@pytest.mark.parametrize(
    ("constraint", "fits", "does_not"),
    [
        ("int", ["0", "-7", "2147483647"], ["2147483648", "x", "1.0", "٣"]),
        ("long", ["9223372036854775807"], ["9223372036854775808"]),
        ("bool", ["True", "false"], ["1", "yes"]),
        ("alpha", ["abc"], ["a1", "é"]),
        (
            "guid",
            ["0f8fad5b-d9cb-469f-a165-70867728950e", "{0F8FAD5Bd9cb469fa16570867728950e}"[1:-1]],
            ["0f8fad5b-d9cb469f-a165-70867728950e", "x"],
        ),
        ("length(3)", ["abc"], ["ab", "abcd"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("minlength(2)", ["ab"], ["a"]),
        ("maxlength(2)", ["ab"], ["abc"]),
        ("min(5)", ["5"], ["4", "x"]),
        ("max(5)", ["5", "-1"], ["6"]),
        ("range(2,3)", ["2", "3"], ["1", "4"]),
        ("int:min(1):max(9)", ["1", "9"], ["0", "10"]),
    ],
)
def test_constraint(constraint: str, fits: list[str], does_not: list[str]) -> None:
    router = Router([function("a", f"x/{{v:{constraint}}}"), function("b", "x/{other}")], "")
    for value in fits:
        assert match(router, f"/x/{value}") == ("a", {"v": value})
    for value in does_not:
        assert match(router, f"/x/{value}") == ("b", {"other": value})


def test_constraint_of_an_optional_parameter_that_is_absent() -> None:
    assert match(Router([function("a", "x/{v:int?}")], ""), "/x") == ("a", {})


@pytest.mark.parametrize("template", ["{x:unknown}", "{x:length}", "{x}/{x}", "{x", "a{x?}b", "{x:regex(^a{{1}}$)}"])
def test_template_that_is_not_understood_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"The route .* of the function 'f' is wrong"):
        Router([function("f", template)], "")
