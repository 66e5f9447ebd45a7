"""This file plays a web server and an application against each other, with any legal moves in any order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.connection.state import NEXT_PHASE, Phase
from penstock.protocol.spec import RecordType, Role
from penstock.testing import Pair
from tests.property.strategies import LONG_RUN, contents, cuts, pairs

pytestmark = LONG_RUN


class Conversation(RuleBasedStateMachine):
    """`Pair` demands after each move that the other side learns just that; the invariants compare the two sides."""

    def __init__(self):
        super().__init__()
        self.pair = Pair()
        self.open: dict[int, tuple[Role, Phase]] = {}

    @initialize(cut=cuts())
    def connect(self, cut):
        self.pair = Pair(travel=cut)

    @rule(cut=cuts())
    @precondition(lambda self: self.pair.application.must_close)
    def connect_again(self, cut):
        self.pair = Pair(travel=cut)

    @rule(
        role=st.sampled_from(list(Role)),
        given_pairs=pairs,
        keep_conn=st.sampled_from([True] * 9 + [False]),
        request_id=st.none() | st.sampled_from([7, 300, 65535]),
    )
    @precondition(lambda self: self.pair.web_server.usable and len(self.open) < 20)
    def begin(self, role, given_pairs, keep_conn, request_id):
        if request_id in self.open:
            request_id = None
        begun = self.pair.begin(given_pairs, role, keep_conn=keep_conn, request_id=request_id)
        assert begun not in self.open
        self.open[begun] = (role, NEXT_PHASE[role][Phase.PARAMS])

    def sending(self):
        return sorted(number for number, (_, phase) in self.open.items() if phase in (Phase.STDIN, Phase.DATA))

    @rule(data=st.data(), content=contents)
    @precondition(lambda self: self.sending())
    def send(self, data, content):
        request_id = data.draw(st.sampled_from(self.sending()))
        self.pair.send(request_id, content, RecordType(int(self.open[request_id][1])))

    @rule(data=st.data())
    @precondition(lambda self: self.sending())
    def end_input(self, data):
        request_id = data.draw(st.sampled_from(self.sending()))
        role, phase = self.open[request_id]
        after = NEXT_PHASE[role][phase]
        self.pair.end_input(request_id, RecordType(int(phase)), complete=after is Phase.COMPLETE)
        self.open[request_id] = (role, after)

    def abortable(self):
        return sorted(number for number, (_, phase) in self.open.items() if phase is not Phase.ABORTED)

    @rule(data=st.data())
    @precondition(lambda self: self.abortable())
    def abort(self, data):
        request_id = data.draw(st.sampled_from(self.abortable()))
        self.pair.abort(request_id)
        self.open[request_id] = (self.open[request_id][0], Phase.ABORTED)

    @rule(data=st.data(), content=contents, stream=st.sampled_from([RecordType.STDOUT, RecordType.STDERR]))
    @precondition(lambda self: self.open)
    def respond(self, data, content, stream):
        self.pair.respond(data.draw(st.sampled_from(sorted(self.open))), content, stream)

    @rule(data=st.data(), content=contents, app_status=st.integers(-1, 255))
    @precondition(lambda self: self.open)
    def finish(self, data, content, app_status):
        request_id = data.draw(st.sampled_from(sorted(self.open)))
        self.pair.finish(request_id, content, app_status)
        del self.open[request_id]

    @rule(kind=st.integers(12, 255))
    @precondition(lambda self: self.pair.web_server.usable)
    def ask(self, kind):
        assert self.pair.ask_unknown(kind) == kind
        assert self.pair.ask_values("FCGI_MPXS_CONNS") == {}

    @invariant()
    def both_sides_agree(self):
        web_server, application = self.pair.web_server, self.pair.application
        assert web_server.open_requests == application.open_requests == len(self.open)
        assert web_server.idle == application.idle == (not self.open)
        assert application.must_close == (not self.open and not web_server.usable)
        owed = [phase for _, phase in self.open.values() if phase not in (Phase.COMPLETE, Phase.ABORTED)]
        assert application.awaiting_input == bool(owed)


TestConversation = Conversation.TestCase
