// Generated from schemas/voucher.used.v1.json by "npm run generate". Do not edit.

/**
 * A user used a voucher (券核销消息)
 *
 * A user used a voucher. Alipay's message alipay.marketing.activity.message.used; neither a table nor a sample of it was found, so every field is inferred from its siblings. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface VoucherUsed {
  /**
   * Alipay's event id (事件id), for de-duplication by business. (PROTOCOL.md 2.2)
   */
  id?: string;
  /**
   * The activity (活动id). The key. At most 128 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.2)
   */
  activity_id: string;
  /**
   * When it happened (精确到毫秒); orders the events of one key, which come in no order. Alipay sends 10 or 13 digits, as string or number. (PROTOCOL.md 2.2)
   */
  event_time?: string;
  /**
   * The user's voucher (支付宝券id). (PROTOCOL.md 2.2)
   */
  voucher_id?: string;
  /**
   * The voucher's code (券码). Not documented for this message; inferred from its siblings. (PROTOCOL.md 2.2)
   */
  voucher_code?: string;
  /**
   * The user's Alipay id (支付宝用户id), or open_id is there instead; new merchants get open_id. (PROTOCOL.md 2.2)
   */
  user_id?: string;
  /**
   * The user's id within the app, or user_id is there instead. (PROTOCOL.md 2.2)
   */
  open_id?: string;
  /**
   * Fields above whose value did not convert, under their names and exactly as Alipay sent them. Of a name that stood more than once, known or not, all values are here in a list: which was meant cannot be told. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
