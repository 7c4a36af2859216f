// Generated from schemas/account.event.v1.json by "npm run generate". Do not edit.

/**
 * Something happened between a user and a 生活号 (生活号事件通知)
 *
 * A user followed or unfollowed a 生活号 (service account), entered it, clicked in its menu or wrote to it. Alipay's service alipay.mobile.public.message.notify, which comes as XML; the names are Alipay's. Elements that share a name are a list. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface AccountEvent {
  /**
   * The app that receives the event (应用 ID). (PROTOCOL.md 2.7)
   */
  AppId?: string;
  /**
   * The user's openid (用户 openid), planned for removal since 2016. (PROTOCOL.md 2.7)
   */
  FromUserId?: string;
  /**
   * The user's Alipay id (支付宝用户 ID). The key. (PROTOCOL.md 2.7)
   */
  FromAlipayUserId: string;
  /**
   * When it happened (创建时间); orders the events of one key, which come in no order. Alipay sends 13 digits. (PROTOCOL.md 2.7)
   */
  CreateTime?: string;
  /**
   * What was sent (消息类型): event, text or image. (PROTOCOL.md 2.7)
   */
  MsgType?: string;
  /**
   * What happened (事件类型), of MsgType event. (PROTOCOL.md 2.7)
   */
  EventType?: string;
  /**
   * The menu's key (菜单参数): authentication asks to bind a member's account, delete to unbind it. (PROTOCOL.md 2.7)
   */
  ActionParam?: string;
  /**
   * The binding (协议号). At most 32 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.7)
   */
  AgreementId?: string;
  /**
   * The member's account at the merchant (绑定账号). (PROTOCOL.md 2.7)
   */
  AccountNo?: string;
  /**
   * The message (消息 ID). (PROTOCOL.md 2.7)
   */
  MsgId?: string;
  /**
   * Who the user is (用户信息): logon_id and user_name. Alipay sends JSON inside a string. (PROTOCOL.md 2.7)
   */
  UserInfo?:
    | unknown[]
    | {
        [k: string]: unknown;
      };
  /**
   * What the user wrote (文本消息), in its member Content. (PROTOCOL.md 2.7)
   */
  Text?:
    | unknown[]
    | {
        [k: string]: unknown;
      };
  /**
   * Elements above whose value did not convert, under their names and exactly as Alipay sent them. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
