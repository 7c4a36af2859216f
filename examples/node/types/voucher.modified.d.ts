// Generated from schemas/voucher.modified.v1.json by "npm run generate". Do not edit.

/**
 * A voucher activity was modified (券活动修改通知)
 *
 * A modification of a 支付券 or 商家券 activity took effect. Alipay's message alipay.marketing.activity.message.modified, known from samples alone. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface VoucherModified {
  /**
   * Alipay's event id (事件id), for de-duplication by business. (PROTOCOL.md 2.1)
   */
  id?: string;
  /**
   * The activity (活动id). The key. At most 128 characters by Alipay's documents, which is not enforced. (PROTOCOL.md 2.1)
   */
  activity_id: string;
  /**
   * When it happened (精确到毫秒); orders the events of one key, which come in no order. Alipay sends 10 or 13 digits, as string or number. (PROTOCOL.md 2.1)
   */
  event_time?: string;
  /**
   * The out_biz_no (外部业务单号) of the API call that caused the event: matches it to the request. (PROTOCOL.md 2.1)
   */
  out_biz_no?: string;
  /**
   * Fields above whose value did not convert, under their names and exactly as Alipay sent them. Of a name that stood more than once, known or not, all values are here in a list: which was meant cannot be told. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
