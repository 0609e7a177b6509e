"""One file a peer; a new one is added to ``PEERS``."""

from sandbox.peer import Peer
from sandbox.peers.agents import AgentsPeer
from sandbox.peers.dingtalk import DingtalkPeer
from sandbox.peers.feishu import FeishuPeer
from sandbox.peers.images import ImagesPeer
from sandbox.peers.mail import MailPeer
from sandbox.peers.model import ModelPeer
from sandbox.peers.otlp import OtlpPeer
from sandbox.peers.qingjian import QingjianPeer
from sandbox.peers.qingyunke import QingyunkePeer
from sandbox.peers.rerank import RerankPeer
from sandbox.peers.staff import StaffPeer
from sandbox.peers.telegram import TelegramPeer
from sandbox.peers.tianwang import TianwangPeer
from sandbox.peers.tuhui import TuhuiPeer
from sandbox.peers.webhook import WebhookPeer
from sandbox.peers.wechat import WechatPeer
from sandbox.peers.wecom import WecomPeer

PEERS: tuple[type[Peer], ...] = (
    ModelPeer,
    ImagesPeer,
    RerankPeer,
    QingyunkePeer,
    WebhookPeer,
    StaffPeer,
    TelegramPeer,
    FeishuPeer,
    DingtalkPeer,
    MailPeer,
    AgentsPeer,
    WecomPeer,
    WechatPeer,
    TianwangPeer,
    TuhuiPeer,
    QingjianPeer,
    OtlpPeer,
)
