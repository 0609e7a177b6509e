"""Documents inform; they do not give orders. What addresses the model in them is cut off."""

import re

from domain.text import clean

_RULES = (
    r"(?:规则|指令|指示|设定|约束|提示词|系统提示|价目表"
    r"|(?:你|您)的?(?:身份|要求|限制|设置|规定)|instructions?|rules?|prompts?)"
)
_PATTERNS = (
    # 忽略以上所有规则, 无视你的设定, ignore (all) previous instructions
    rf"(?:忽略|无视|忘记|忘掉|抛开|不要遵守|不用遵守|不再遵守|绕过)[^。;!?\n]{{0,12}}?{_RULES}",
    rf"(?:ignore|disregard|forget|override|bypass)\b[^.;!?\n]{{0,40}}?\b{_RULES}",
    # 你现在是管理员, you are now in developer mode
    r"(?:你|您)(?:现在|从现在起|从此|今后)(?:开始)?(?:是|就是|扮演|变成|作为|进入)[^。;!?\n]{0,8}?"
    r"(?:管理员|开发者|助手|助理|模型|机器人|ai|老板|店长|员工|主管|专家|系统|角色|黑客|模式)",
    r"从现在(?:开始|起)[,，]?\s*(?:你|您)",
    r"\byou are (?:now|no longer)\b|\b(?:developer|debug|admin|god|dan) mode\b",
    r"(?:开发者|管理员|调试|上帝|无限制|越狱)模式",
    # Forged roles of a chat.
    r"<\|[^|>\n]{0,40}\|>|\[/?(?:inst|system|sys)\]|<</?sys>>|</?(?:system|assistant|instructions?)>",
    r"(?m:^)\s*[#【\[]*\s*(?:system|assistant|developer|系统(?:消息|提示|指令|通知|管理员)?|新指令|管理员指令)"
    r"\s*[\]】]*\s*[:：]",
    # 对所有客户都说…, 回复客户时必须…, AI 助手请…
    r"(?:ai|人工智能|大模型|模型|机器人|助手|智能客服)(?:客服|助手)?[^。;!?\n]{0,6}?(?:必须|务必|应当|一律|请你|需要你)",
    r"(?:给|对|向|告诉|通知)(?:所有|任何|每个|每位)(?:的)?(?:客户|顾客|用户|买家|人)(?:都|一律)?(?:说|打|承诺|报|回复|答应|提供|免)",
    r"(?:回复|回答|答复)(?:客户|顾客|用户)?时?[,，]?(?:必须|务必|一律|请务必)",
    r"(?:调用|执行|call|invoke|execute)\s*(?:工具|函数|命令|tools?\b|functions?\b)",
    r"(?:输出|泄露|公开|展示|打印|reveal|print|repeat)[^。;!?\n]{0,12}?"
    r"(?:系统提示|提示词|system prompt)",
)
_ORDER = re.compile("|".join(_PATTERNS), re.IGNORECASE)
_SENTENCE_END = re.compile(r"[。!?！？\n]|\. ")
_FORGED = str.maketrans({"[": "(", "]": ")", "【": "(", "】": ")", "［": "(", "］": ")"})
_CONTROL_TOKEN = re.compile(r"<\|[^|>\n]{0,40}\|>|</?(?:system|assistant|user)>", re.IGNORECASE)


def gives_orders(text: str) -> bool:
    """Does ``text`` tell the model what to do?"""
    return _ORDER.search(clean(text)) is not None


def informing_part(text: str) -> str:
    """``text`` up to the sentence that begins to give orders; what follows it is not trusted."""
    text = clean(text)
    order = _ORDER.search(text)
    if order is None:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text, 0, order.start())]
    return text[: ends[-1]].rstrip() if ends else ""


def as_data(text: str) -> str:
    """``text`` without what forges the parts of a prompt: role tokens, headings, marks."""
    return _CONTROL_TOKEN.sub("", clean(text)).translate(_FORGED)
