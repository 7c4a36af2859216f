// Generated from schemas/ by "npm run generate". Do not edit.

import type { AccountEvent } from './account.event.js';
import type { CardOpenResult } from './card.open_result.js';
import type { OrderReceived } from './order.received.js';
import type { OrderRefunded } from './order.refunded.js';
import type { OtherAlipayFundTransOrderChanged } from './other.alipay_fund_trans_order_changed.js';
import type { OtherAlipayOpenAuthAppauthCancel } from './other.alipay_open_auth_appauth_cancel.js';
import type { OtherAlipayTradeOrderSettleNotify } from './other.alipay_trade_order_settle_notify.js';
import type { OtherOpenAppAuthNotify } from './other.open_app_auth_notify.js';
import type { OtherServicemarketOrderNotify } from './other.servicemarket_order_notify.js';
import type { OtherZhimaCreditPayafteruseCreditagreementChanged } from './other.zhima_credit_payafteruse_creditagreement_changed.js';
import type { TradeStatusChanged } from './trade.status_changed.js';
import type { VoucherAppended } from './voucher.appended.js';
import type { VoucherCreated } from './voucher.created.js';
import type { VoucherExpired } from './voucher.expired.js';
import type { VoucherModified } from './voucher.modified.js';
import type { VoucherReceived } from './voucher.received.js';
import type { VoucherStopped } from './voucher.stopped.js';
import type { VoucherUsed } from './voucher.used.js';

/** The data of each kind of event, by entity.action. */
export interface EventData {
  'account.event': AccountEvent;
  'card.open_result': CardOpenResult;
  'order.received': OrderReceived;
  'order.refunded': OrderRefunded;
  'other.alipay_fund_trans_order_changed': OtherAlipayFundTransOrderChanged;
  'other.alipay_open_auth_appauth_cancel': OtherAlipayOpenAuthAppauthCancel;
  'other.alipay_trade_order_settle_notify': OtherAlipayTradeOrderSettleNotify;
  'other.open_app_auth_notify': OtherOpenAppAuthNotify;
  'other.servicemarket_order_notify': OtherServicemarketOrderNotify;
  'other.zhima_credit_payafteruse_creditagreement_changed': OtherZhimaCreditPayafteruseCreditagreementChanged;
  'trade.status_changed': TradeStatusChanged;
  'voucher.appended': VoucherAppended;
  'voucher.created': VoucherCreated;
  'voucher.expired': VoucherExpired;
  'voucher.modified': VoucherModified;
  'voucher.received': VoucherReceived;
  'voucher.stopped': VoucherStopped;
  'voucher.used': VoucherUsed;
}
