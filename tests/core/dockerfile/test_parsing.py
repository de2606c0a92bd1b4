"""Dockerfiles: what they say, and what is refused before anything is run."""

from __future__ import annotations

import pytest

from sandtop.core.dockerfile import Settings, change, expand, parse, split
from sandtop.core.errors import InvalidRequest

WHOLE = """\
# escape=`
# a comment
ARG VERSION=12
ARG NAMED
FROM debian:${VERSION} AS Build
ARG VERSION
ENV A=1 B="x y" C=$A
run echo one && `
    # between the lines

    echo two
COPY --from=0 --chown=web --link a "b c" /c/
FROM --platform=linux/amd64 scratch
HEALTHCHECK CMD true
COPY --from=build ["/c", "/d e"]
CMD ["x", "y"]
"""


def test_stages_and_instructions() -> None:
    made = parse(WHOLE, {"NAMED": "n", "UNKNOWN": "u", "http_proxy": "p"})
    assert [(stage.name, stage.base, stage.line) for stage in made.stages] == [
        ("build", "debian:12", 5),
        ("", "scratch", 13),
    ]
    first, second = made.stages
    assert [(one.line, one.name) for one in first.instructions] == [
        (6, "ARG"),
        (7, "ENV"),
        (8, "RUN"),
        (12, "COPY"),
    ]
    assert first.instructions[2].title == "RUN echo one && echo two"
    assert first.instructions[3].flags == {"from": "0", "chown": "web"}
    assert second.instructions[0].argv == ("/c", "/d e")
    assert made.warnings == (
        "line 14: HEALTHCHECK is left out: nothing here asks for it",
        "no ARG declares UNKNOWN: it was given for nothing",
    )
    assert (made.stage("BUILD", 1), made.stage("0", 1), made.stage("1", 1), made.stage("other", 2)) == (
        0,
        0,
        None,
        None,
    )
    assert made.proxies() == {"http_proxy": "p"}
    assert made.declared("VERSION NAMED=other TARGETARCH NONE", {}) == {
        "VERSION": "12",
        "NAMED": "n",
        "TARGETARCH": "amd64",
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "it has no FROM"),
        ("RUN true\nFROM a", "line 1: RUN: it is before the first FROM"),
        ("FROM a b c", "line 1: FROM: it takes IMAGE, or IMAGE AS NAME"),
        ("FROM $NONE", "line 1: FROM: '$NONE' is nothing"),
        ("FROM a AS 1", "line 1: FROM: '1' is no name for a stage"),
        ("FROM --platform=linux/arm64 a", "line 1: FROM: only linux/amd64 runs here"),
        ("FROM a\n\nRUN --mount=type=cache,target=/x make", "line 3: RUN: --mount is not supported"),
        ("FROM a\nRUN cat <<EOF\nx\nEOF", "line 2: RUN: here-documents"),
        ("FROM a\nCOPY <<-'EOF' /x\nx\nEOF", "line 2: COPY: here-documents"),
        ("FROM a\nCOPY --exclude=*.py . /", "line 2: COPY: --exclude is not supported"),
        ("FROM a\nCOPY --chmod=u+x a /", "line 2: COPY: --chmod takes octal digits"),
        ("FROM a\nONBUILD RUN true", "line 2: ONBUILD is not supported"),
        ("FROM a\nINCLUDE b", "line 2: 'INCLUDE' is no instruction"),
        ("FROM a\nRUN", "line 2: RUN: there is nothing behind it"),
        ("FROM a\nSHELL bash", "line 2: SHELL: it takes a JSON list"),
        ("# escape=x\nFROM a", "line 1: escape is"),
        ("FROM a\n" + "#" * (1 << 20), "it is no Dockerfile of at most"),
    ],
)
def test_what_is_refused_is_named_by_its_line(lines: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(lines, {})
    assert caught.value.message.startswith(said)


def test_a_here_string_and_a_shift_are_no_here_documents() -> None:
    parse("FROM a\nRUN cat <<<word; echo $((1<<2))", {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  'b c'\t\"d $X\"", ["a", "b c", "d 1"]),
        (r"a\ b \$X '$X' ${X}y $NONE.", ["a b", "$X", "$X", "1y", "."]),
        (r'"a\"b\n" ""', [r'a"b\n', ""]),
        ("${X:-no} ${E:-empty} ${E-set} ${N-${X}2} ${X:+yes} ${N:+no}", ["1", "empty", "", "12", "yes", ""]),
        ("$ $1", ["$", "$1"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split(text, {"X": "1", "E": ""}) == words


@pytest.mark.parametrize(
    "text", ["'a", '"a', "${X", "${X:?no}", "${X%y}", "${}", "${a:-" * 30 + "x" + "}" * 30]
)
def test_words_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        expand(text, {})


def settled(*lines: str, start: Settings | None = None) -> Settings:
    settings = start or Settings()
    for one in parse("FROM a\n" + "\n".join(lines), {}).stages[0].instructions:
        assert settings.apply(one, {"ARG": "of an ARG"}), one.name
    return settings


def test_settings() -> None:
    made = settled(
        "ENV A=1 ARG=2",
        "ENV OLD  as it was",
        'LABEL "a b"="c d" e=$ARG',
        "WORKDIR srv",
        "WORKDIR ../$A",
        "USER web:$A",
        "EXPOSE 80 53/UDP 8000-8010 80/tcp",
        'VOLUME ["/data", "/d 2"]',
        "VOLUME /data /more",
        "STOPSIGNAL SIGUSR1",
        'SHELL ["/bin/bash", "-c"]',
        "CMD serve $A",
        'ENTRYPOINT ["e"]',
    )
    assert made.env == {"A": "1", "ARG": "2", "OLD": "as it was"}
    assert made.labels == {"a b": "c d", "e": "2"}, "a variable of ENV goes before an ARG"
    assert (made.workdir, made.user, made.stop_signal) == ("/1", "web:1", "SIGUSR1")
    assert made.ports == ["80/tcp", "53/udp", "8000-8010/tcp"]
    assert made.volumes == ["/data", "/d 2", "/more"]
    assert (made.entrypoint, made.cmd) == (["e"], ["/bin/bash", "-c", "serve $A"])


def test_an_entrypoint_forgets_the_command_of_the_image_before_it() -> None:
    assert settled("ENTRYPOINT e", start=Settings(cmd=["of the image"])).cmd == []
    assert settled("CMD []", start=Settings(cmd=["of the image"])).cmd == []


@pytest.mark.parametrize("line", ["ENV A", "LABEL a=b c", "EXPOSE http", "EXPOSE 80/sctp/x", "USER ${X"])
def test_settings_that_make_no_sense(line: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^line 2: {line.split()[0]}: "):
        settled(line)


def test_changes_of_a_commit() -> None:
    settings = Settings(env={"A": "1"})
    for line in ("env B=2", 'CMD ["sh"]', "WORKDIR /srv"):
        change(settings, line)
    assert (settings.env, settings.cmd, settings.workdir) == ({"A": "1", "B": "2"}, ["sh"], "/srv")
    for line in ("RUN true", "FROM a", "nonsense", "", "ENV A"):
        with pytest.raises(InvalidRequest) as caught:
            change(settings, line)
        assert "line 1" not in caught.value.message
