"""Who there is: members of the company, and customers with their profiles."""

from collections import OrderedDict
from dataclasses import asdict, dataclass

from sandbox.wx.calls import JsonObject

_MAX_CUSTOMERS = 100_000


@dataclass(frozen=True, slots=True)
class Customer:
    external_userid: str
    name: str
    gender: int = 0
    avatar: str = ""
    unionid: str = ""

    def shown(self) -> JsonObject:
        return asdict(self)


class People:
    """``members``: those who exist; None: whoever is named. ``groups``: members by the id of their
    department or tag. Of too many customers it forgets the profiles of the oldest."""

    def __init__(self) -> None:
        self.members: tuple[str, ...] | None = None
        self.groups: dict[str, tuple[str, ...]] = {}
        self._customers: OrderedDict[str, Customer] = OrderedDict()

    def is_member(self, userid: str) -> bool:
        return bool(userid) and (self.members is None or userid in self.members)

    def meet(self, external_userid: str, name: str = "") -> Customer:
        """The customer, known from now on; a name that is given is theirs."""
        known = self._customers.get(external_userid)
        if known is None or (name and name != known.name):
            known = Customer(external_userid, name or f"客户{external_userid[-4:]}")
            self._customers[external_userid] = known
            while len(self._customers) > _MAX_CUSTOMERS:
                self._customers.popitem(last=False)
        return known

    def customer(self, external_userid: str) -> Customer | None:
        return self._customers.get(external_userid)

    def __len__(self) -> int:
        return len(self._customers)

    def clear(self) -> None:
        self.members = None
        self.groups = {}
        self._customers.clear()
